import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

import { openWorld } from '../system/support/world.ts';
import { newKey, registration } from './support.ts';

const EXAMPLES = fileURLToPath(new URL('../../examples/', import.meta.url));

t.test('the example makes a manifest that is accepted, from the agent beside it', async (t) => {
  const world = await openWorld(t);
  const key = newKey('Ed25519', 'kernel-1');
  await world.expect(201, 'kernel-admin', 'POST', '/v1/signers', registration(key));
  const dir = t.testdir();
  const keyFile = join(dir, 'kernel.pem');
  writeFileSync(keyFile, key.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const make = (file: string, ...more: string[]) =>
    execFileSync(process.execPath, [join(EXAMPLES, 'sign-manifest.ts'), keyFile, 'kernel-1', file, ...more], {
      encoding: 'utf8',
    });

  const kernels = join(EXAMPLES, 'kernel-agent.json');
  const create = (body: string) => world.call('operator', 'POST', '/v1/workspaces/demo/agents', body);
  t.match(await create(make(kernels)), { status: 201, body: { spec: { profile: 'illuvrse' } } });
  t.match(await create(make(kernels, 'another')), { status: 403, body: { code: 'MANIFEST_WRONG_PURPOSE' } });
  t.match(await create(make(kernels, 'castellan', '0')), { status: 403, body: { code: 'MANIFEST_EXPIRED' } });

  const odd = join(dir, 'odd.json');
  const spec = { name: 'é\u2028"\\', labels: { b: '\u0007', a: '😀' }, budget: { monthlyUsd: 1e-7, dailyUsd: 0.1 } };
  writeFileSync(odd, JSON.stringify({ spec }));
  t.equal((await create(make(odd))).status, 201, 'its RFC 8785 is ours');
});
