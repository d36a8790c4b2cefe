import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';

import { testCertificates, testService } from '../support/service.ts';

const dir = await mkdtemp(join(tmpdir(), 'castellan-test-map-'));
t.teardown(() => rm(dir, { recursive: true, force: true }));
const mapFile = join(dir, 'identity-map.json');
const { principals } = JSON.parse(await readFile(join(await testCertificates(t), 'identity-map.json'), 'utf8'));

/** Has the operator belong to just this workspace from now on. */
async function move(workspaceId: string): Promise<void> {
  const moved = principals.map((one: { id: string }) =>
    one.id === 'operator' ? { ...one, workspaces: [workspaceId] } : one,
  );
  await writeFile(`${mapFile}.new`, JSON.stringify({ principals: moved }));
  await rename(`${mapFile}.new`, mapFile);
}

await move('demo');
const { call } = await testService(t, { identity: { mapFile } });

t.test('a key is one of the workspace that is found, whatever the body says of it', async (t) => {
  const spawn = (body = {}) =>
    call(
      'operator',
      'POST',
      '/api/v1/agent/spawn',
      { agent_config: { name: 'a' }, ...body },
      { 'idempotency-key': 'k' },
    );
  const first = await spawn();
  t.match(first, { status: 201, headers: { location: /^\/v1\/workspaces\/demo\// } });
  t.match(await spawn(), { status: 201, headers: { 'idempotent-replayed': 'true' }, body: first.body });

  await move('other');
  const deadline = Date.now() + 10_000;
  while ((await call('operator', 'GET', '/v1/workspaces/other')).status !== 200 && Date.now() < deadline);
  const second = await spawn();
  t.match(second, { status: 201, headers: { location: /^\/v1\/workspaces\/other\// } });
  t.not(second.headers['idempotent-replayed'], 'true');
  t.match(await spawn(), { status: 201, headers: { 'idempotent-replayed': 'true' }, body: second.body });
});
