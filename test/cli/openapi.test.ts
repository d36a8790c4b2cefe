import { readFileSync } from 'node:fs';
import t from 'tap';

import { cli } from './run.ts';

const { code, out, err } = await cli(['openapi']);
t.same([code, err], [0, '']);
t.equal(out, readFileSync(new URL('../../openapi.yaml', import.meta.url), 'utf8'), 'run `npm run openapi:write`');
