import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

import { isProblemCode } from '../../src/http/problem-table.ts';

const SRC = fileURLToPath(new URL('../../src', import.meta.url));

/** Errors that never reach HTTP: a use case turns each into an answer of its own, or the process ends with it. */
const INTERNAL = new Set([
  'ANSWER_TOO_LARGE',
  'BAD_CONFIGURATION',
  'CHECKPOINT_INCONSISTENT',
  'CLOCK_SKEW',
  'KEY_FILE_UNREADABLE',
  'KEY_FILE_UNSAFE',
  'KEY_UNSUITABLE',
  'LEASE_LOST',
  'MALFORMED',
  'NODE_UNAVAILABLE',
  'NO_ANSWER',
  'NOTE_SIGNATURE_WRONG',
  'NOTE_UNSIGNED',
  'NOT_CANONICALIZABLE',
  'OUT_OF_RANGE',
  'SECRET_UNAVAILABLE',
  'SIGNER_MISMATCH',
  'SINK_FAILED',
  'STALE_READ',
  'SUPERSEDED',
  'TILE_CONFLICT',
  'TRUST_EXPIRED',
]);

/** Where errors belong to a command, to the start of the process, or to a driver that makes an outcome of them; never to a request. */
const NOT_SERVED = /^(?:audit\/(?:stream|verify)|storage|cli|runtime\/drivers\/kubernetes\/client)\//;

t.test('every code an error can carry to HTTP has its row in the table', async (t) => {
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' });
  for (const file of files.filter((name) => name.endsWith('.ts') && !NOT_SERVED.test(name))) {
    const text = readFileSync(join(SRC, file), 'utf8');
    if (!/extends CodedError/.test(text)) continue;
    const declared = [...text.matchAll(/(?:readonly code(?:: | = )|Code =)([^;]+);/g)].map((match) => match[1] ?? '');
    for (const [, code = ''] of declared.join(' ').matchAll(/'([A-Z][A-Z0-9_]+)'/g)) {
      t.ok(isProblemCode(code) || INTERNAL.has(code), `${code} of ${file}`);
    }
  }
});
