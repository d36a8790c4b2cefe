import { readFileSync } from 'node:fs';
import t from 'tap';

import { envExample } from '../../scripts/build-env-example.ts';
import { SETTINGS } from '../../src/config/settings.ts';

const committed = readFileSync(new URL('../../.env.example', import.meta.url), 'utf8');

t.equal(committed, envExample(), 'run `node scripts/build-env-example.ts`');

const named = committed.split('\n').flatMap((line) => /^(?:# )?([A-Z][A-Z0-9_]*)=/.exec(line)?.[1] ?? []);
t.same(named.sort(), Object.keys(SETTINGS).sort(), 'every setting once, and nothing else');
