import { readFileSync } from 'node:fs';

import t from 'tap';

import { EVENT_TYPES } from '../../src/audit/event-types.ts';
import { UNSIGNED_TYPES } from '../../src/audit/verify/unsigned-types.ts';

const WRITER = new URL('../../src/audit/deferred.ts', import.meta.url);

t.test('the verifier allows to be unsigned what the writer may leave unsigned, and no more', async (t) => {
  const [, list = ''] = /BRAKE_EVENTS\b[^[]*\[([^\]]*)\]/.exec(readFileSync(WRITER, 'utf8')) ?? [];
  const written = Array.from(list.matchAll(/'([^']+)'/g), ([, type]) => type);
  t.strictSame([...UNSIGNED_TYPES].sort(), written.sort());
  t.strictSame(
    [...UNSIGNED_TYPES].filter((type) => !Object.hasOwn(EVENT_TYPES, type)),
    [],
  );
});
