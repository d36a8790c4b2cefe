import t from 'tap';

import { reload } from '../system/support/policies.ts';
import { openWorld, SPEC } from '../system/support/world.ts';

const AGENTS = '/v1/workspaces/demo/agents';
const world = await openWorld(t);

async function newAgent() {
  const { body, headers } = await world.expect(201, 'operator', 'POST', AGENTS, { spec: SPEC });
  return { path: `${AGENTS}/${body.id}`, etag: String(headers.etag) };
}

t.test('PATCH and DELETE under If-Match', async (t) => {
  const { path, etag } = await newAgent();
  const patch = (condition: string, description: string) =>
    world.call('operator', 'PATCH', path, { spec: { description } }, { 'if-match': condition });
  for (const bad of ['', 'nonsense', `${etag} ${etag}`, `${etag},`]) {
    t.match(await patch(bad, 'x'), { status: 400, body: { errors: [{ pointer: '/headers/if-match' }] } }, bad);
  }
  for (const stale of ['"0"', `W/${etag}`, '"a", "b"']) {
    t.match(await patch(stale, 'x'), { status: 412, body: { code: 'PRECONDITION_FAILED' } }, stale);
  }
  const first = await patch(`"0", ${etag}`, 'first');
  t.equal(first.status, 200, first.text);
  t.not(first.headers.etag, etag);
  t.equal((await patch('*', 'second')).status, 200);

  const remove = (condition: string) => world.call('operator', 'DELETE', path, undefined, { 'if-match': condition });
  t.equal((await remove(etag)).status, 412);
  t.equal((await remove('nonsense')).status, 400);
  const { headers } = await world.expect(200, 'operator', 'GET', path);
  t.equal((await remove(String(headers.etag))).status, 204);
  t.equal((await patch('*', 'gone')).status, 404);
});

t.test('of many patches of the same version one is made', async (t) => {
  const { path, etag } = await newAgent();
  const answers = await Promise.all(
    Array.from({ length: 10 }, (_, n) =>
      world.call('operator', 'PATCH', path, { spec: { description: `patch ${n}` } }, { 'if-match': etag }),
    ),
  );
  t.equal(answers.filter(({ status }) => status === 200).length, 1);
  t.equal(answers.filter(({ status }) => status === 412).length, 9);
  t.equal((await world.expect(200, 'operator', 'GET', path)).body.specVersion, 2);
});

t.test('If-None-Match on an agent and on the policy snapshot', async (t) => {
  for (const path of [(await newAgent()).path, '/v1/workspaces/demo/policy/snapshot']) {
    const read = (condition?: string) =>
      world.call('operator', 'GET', path, undefined, condition === undefined ? {} : { 'if-none-match': condition });
    const { headers, status } = await read();
    const etag = String(headers.etag);
    t.equal(status, 200);
    t.match(etag, /^"[^"]+"$/, 'strong');
    for (const same of [etag, `W/${etag}`, `"0", ${etag}`, '*']) {
      const unchanged = await read(same);
      t.equal(unchanged.status, 304, same);
      t.equal(unchanged.text, '');
      t.equal(unchanged.headers.etag, etag);
    }
    for (const other of ['"0"', 'nonsense']) t.equal((await read(other)).status, 200, other);
  }
});

t.test('a policy is changed only while the snapshot is the one that was read', async (t) => {
  const policy = `/v1/workspaces/${await world.workspace()}/policy`;
  const read = async () => String((await world.expect(200, 'kernel-admin', 'GET', `${policy}/snapshot`)).headers.etag);
  const change = (action: string, body: object, condition: string) =>
    world.call('kernel-admin', 'POST', `${policy}/${action}`, body, { 'if-match': condition });
  const old = await read();
  t.equal((await change('hotreload', reload(), 'nonsense')).status, 400);
  const both = await Promise.all([7000, 8000].map((monthlyUsd) => change('hotreload', reload({ monthlyUsd }), old)));
  t.same(both.map(({ status }) => status).sort(), [200, 412], 'of two reloads on one snapshot one is made');
  t.match(await change('rollback', { version: 1 }, old), { status: 412, body: { code: 'PRECONDITION_FAILED' } });
  t.equal((await change('rollback', { version: 1 }, await read())).status, 200);
  t.equal((await change('hotreload', reload(), '*')).status, 200);
});
