import t from 'tap';

import { agentsFixture, CALLER } from '../agents/fixture.ts';

t.test('workspaces', async (t) => {
  const f = await agentsFixture(t);
  const app = await f.api();
  const create = (payload: object, as = 'kernel-admin@*') =>
    app.inject({ method: 'POST', url: '/v1/workspaces', headers: { 'x-as': as }, payload });
  const get = async (url: string, as: string) => {
    const response = await app.inject({ url, headers: { 'x-as': as } });
    return { status: response.statusCode, body: response.json() };
  };

  t.test('a new one has its chain and its policy', async (t) => {
    const response = await create({ workspaceId: 'new-1', displayName: 'New' });
    t.equal(response.statusCode, 201);
    t.match(response.json(), {
      workspaceId: 'new-1',
      displayName: 'New',
      state: 'active',
      createdBy: 'kernel-admin-1',
    });
    t.equal(response.headers.location, '/v1/workspaces/new-1');
    t.match(await f.events('new-1'), [
      { event_type: 'workspace.created', payload: { workspaceId: 'new-1', displayName: 'New' }, sign_mode: 'event' },
    ]);
    const { rows } = await f.database.query(`SELECT version FROM policy_heads WHERE workspace_id = 'new-1'`);
    t.equal(rows.length, 1);
    t.equal((await create({ workspaceId: 'new-1' })).statusCode, 409);
    t.match((await create({ workspaceId: 'new-2' })).json(), { displayName: 'new-2' });
  });

  t.test('one that could not be created wholly does not exist', async (t) => {
    f.signer.down = true;
    t.equal((await create({ workspaceId: 'half' })).statusCode, 503);
    f.signer.down = false;
    t.equal((await get('/v1/workspaces/half', 'kernel-admin@*')).status, 404);
    t.equal((await create({ workspaceId: 'half' })).statusCode, 201);
  });

  t.test('created twice at once, it exists once', async (t) => {
    const outcomes = await Promise.allSettled([
      f.workspaces.create({ workspaceId: 'race' }, CALLER),
      f.workspaces.create({ workspaceId: 'race' }, CALLER),
      f.replica().workspaces.create({ workspaceId: 'race' }, CALLER),
    ]);
    const refused = outcomes.filter((one) => one.status === 'rejected');
    t.match(refused, [{ reason: { code: 'ALREADY_EXISTS' } }, { reason: { code: 'ALREADY_EXISTS' } }]);
  });

  t.test('names and permissions', async (t) => {
    for (const workspaceId of ['', '_system', 'Upper', '-a', 'a'.repeat(64), 'a/b']) {
      t.equal((await create({ workspaceId })).statusCode, 400, workspaceId);
    }
    t.equal((await create({ workspaceId: 'x', createdBy: 'me' })).statusCode, 400);
    t.equal((await create({ workspaceId: 'x' }, 'kernel-admin@demo')).statusCode, 403, 'of one workspace only');
    t.equal((await create({ workspaceId: 'x' }, 'operator@*')).statusCode, 403);
  });

  t.test('each sees its own', async (t) => {
    const ids = (body: { workspaces: { workspaceId: string }[] }) => body.workspaces.map((one) => one.workspaceId);
    t.strictSame(ids((await get('/v1/workspaces', 'operator@demo')).body), ['demo']);
    const all = ids((await get('/v1/workspaces', 'auditor@*')).body);
    t.strictSame(all, ['demo', 'half', 'new-1', 'new-2', 'other', 'race']);
    const first = await get('/v1/workspaces?limit=4', 'auditor@*');
    const rest = await get(`/v1/workspaces?limit=4&cursor=${first.body.nextCursor}`, 'auditor@*');
    t.strictSame([...ids(first.body), ...ids(rest.body)], all);
    t.equal(rest.body.nextCursor, null);
    t.match(await get('/v1/workspaces/demo', 'operator@demo'), { status: 200, body: { workspaceId: 'demo' } });
    t.equal((await get('/v1/workspaces/other', 'operator@demo')).status, 404);
    t.equal((await get('/v1/workspaces/none', 'auditor@*')).status, 404);
  });
});
