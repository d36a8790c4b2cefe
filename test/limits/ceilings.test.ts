import t from 'tap';

import { ceilingOf, createRoleCeilings } from '../../src/limits/ceilings.ts';
import type { Role } from '../../src/roles.ts';
import { limitedApp, type Reply } from './fixture.ts';

const AMPLE = { rate: 10_000, burst: 10_000 };
const READ = '/v1/workspaces/demo/read';

async function repeat(times: number, request: () => Promise<Reply>): Promise<number[]> {
  const statuses: number[] = [];
  for (let index = 0; index < times; index += 1) statuses.push((await request()).status);
  return statuses;
}

t.test('of several roles the highest ceiling counts, and a role without one lifts it', async (t) => {
  const of = createRoleCeilings({ auditor: 5, operator: 20 });
  const rate = (...roles: Role[]) => of({ id: 'x', kind: 'human', roles, workspaces: '*' })?.rate;
  t.equal(rate('auditor'), 5);
  t.equal(rate('auditor', 'operator'), 20);
  t.equal(rate('auditor', 'kernel-admin'), undefined);
  t.equal(rate('agent'), undefined);
  t.same(ceilingOf(5), { rate: 5, burst: 10 });
  t.equal(createRoleCeilings({})({ id: 'x', kind: 'human', roles: ['auditor'], workspaces: '*' }), undefined);
});

t.test('a ceiling by role, brakes apart', async (t) => {
  const limits = { principal: AMPLE, workspace: AMPLE, brake: AMPLE, roles: { operator: 1 } };
  const { call, refused } = await limitedApp(t, limits);
  t.same(await repeat(4, () => call('operator-1', 'GET', READ)), [200, 200, 429, 429]);
  t.same(await repeat(3, () => call('auditor-1', 'GET', READ)), [200, 200, 200]);
  t.same(await repeat(4, () => call('auditor+operator-1', 'GET', READ)), [200, 200, 200, 200]);
  t.same(
    await repeat(5, () => call('operator-1', 'POST', '/v1/workspaces/demo/brake', '{}')),
    [200, 200, 200, 200, 200],
  );
  t.same(refused, ['principal_rate read', 'principal_rate read']);
});

t.test('never above the general ceiling', async (t) => {
  const { call } = await limitedApp(t, {
    principal: { rate: 1, burst: 2 },
    workspace: AMPLE,
    roles: { operator: 1000 },
  });
  t.same(await repeat(3, () => call('operator-1', 'GET', READ)), [200, 200, 429]);
});

t.test('a workspace with a ceiling of its own, brakes apart', async (t) => {
  const { call } = await limitedApp(
    t,
    { principal: AMPLE, workspace: AMPLE, brake: AMPLE },
    { workspaceCeiling: (workspaceId) => (workspaceId === 'demo' ? ceilingOf(1) : undefined) },
  );
  t.same(await repeat(4, () => call('operator-1', 'GET', READ)), [200, 200, 429, 429]);
  t.same(await repeat(4, () => call('operator-1', 'GET', '/v1/workspaces/other/read')), [200, 200, 200, 200]);
  t.same(await repeat(4, () => call('operator-1', 'POST', '/v1/workspaces/demo/brake', '{}')), [200, 200, 200, 200]);
});

t.test('a workspace that is named in the body has the same bucket', async (t) => {
  const { call, refused, errors } = await limitedApp(t, { principal: AMPLE, workspace: { rate: 1, burst: 3 } });
  const found = () => call('operator-1', 'POST', '/v1/found', '{"workspaceId":"demo"}');
  t.same(await repeat(2, found), [200, 200]);
  t.equal((await call('operator-2', 'GET', READ)).status, 200);
  const reply = await found();
  t.match(reply, { status: 429, code: 'RATE_LIMITED' });
  t.ok(reply.retryAfter >= 1, `after ${reply.retryAfter} s`);
  t.equal((await call('operator-2', 'GET', READ)).status, 429);
  t.equal((await call('operator-1', 'POST', '/v1/found', '{"workspaceId":"other"}')).status, 200);
  t.same(refused, ['workspace_rate write', 'workspace_rate read']);
  t.equal(errors.length, 1);
});

t.test('a stranger uses up nothing of a workspace it names', async (t) => {
  const { call } = await limitedApp(t, { principal: AMPLE, workspace: { rate: 1, burst: 2 } });
  const stranger = () => call('operator-stranger', 'POST', '/v1/found', '{"workspaceId":"demo"}');
  t.same(await repeat(4, stranger), [404, 404, 404, 404]);
  t.equal((await call('operator-1', 'GET', READ)).status, 200);
});

t.test('many principals do not get more places for one workspace than its share', async (t) => {
  const limited = await limitedApp(t, { inFlight: { read: 4, write: 4, brake: 4 }, maxWaiting: 8, maxWaitMs: 10_000 });
  const { call, app, held } = limited;
  const asked = ['a', 'b', 'c', 'd'].map((who) =>
    call(`operator-${who}`, 'POST', '/v1/found', '{"workspaceId":"held"}'),
  );
  const refused = await Promise.race([...asked.map((one) => one.then(({ status, code }) => ({ status, code })))]);
  t.same(refused, { status: 503, code: 'OVERLOADED' });
  t.equal((await call('operator-e', 'POST', '/v1/found', '{"workspaceId":"other"}')).status, 200, 'room for another');
  held.release();
  const statuses = (await Promise.all(asked)).map(({ status }) => status);
  t.same(statuses.sort(), [200, 200, 503, 503], 'half of the places');
  t.match(app.limits.stats().lanes.write, { inFlight: 0, waiting: 0 });
});
