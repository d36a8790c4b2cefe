import t from 'tap';

import { newId } from '../../src/ids.ts';
import { denial, governance, OPERATOR, WORKSPACE } from '../admission/fixture.ts';
import { apiOf } from '../promotion/api.ts';

t.test('the decision ledger', async (t) => {
  const world = await governance(t);
  const app = await apiOf(t, world);
  const [mine, other] = [await world.sandboxAgent(), await world.sandboxAgent()];
  await world.start(WORKSPACE, mine, {}, OPERATOR);
  world.policy.answers.set('*', denial('BUDGET_EXCEEDED', 'TEMPERATURE_VIOLATION'));
  await world.promote(WORKSPACE, mine, {}, OPERATOR);
  await t.rejects(world.start(WORKSPACE, other, {}, OPERATOR), { code: 'ADMISSION_DENIED' });

  const get = (path: string, as = 'operator') =>
    app.inject({ url: `/v1/workspaces/demo/decisions${path}`, headers: { 'x-as': as } });
  const kinds = async (path: string, as?: string) =>
    (await get(path, as)).json().decisions.map((one: { kind: string; effect: string }) => `${one.kind} ${one.effect}`);

  const all = ['start ALLOW', 'promotion DENY', 'start DENY'];
  t.same(await kinds(''), all);
  t.same(await kinds(`?agentId=${mine}`), all.slice(0, 2));
  t.same(await kinds('?effect=DENY'), all.slice(1));
  t.same(await kinds('?tier=1'), all.slice(0, 1));
  t.same(await kinds('?code=TEMPERATURE_VIOLATION'), all.slice(1));
  t.same(await kinds('?code=NO_SUCH_CODE'), []);
  t.same(await kinds('?from=2020-01-01T00:00:00Z&to=2999-01-01T00:00:00Z'), all);
  t.same(await kinds('?to=2020-01-01T00:00:00Z'), []);
  t.same(await kinds('?from=2999-01-01T00:00:00Z'), []);
  t.equal((await get('?effect=MAYBE')).statusCode, 400);
  t.equal((await get('?tier=4')).statusCode, 400);
  t.equal((await get('?from=yesterday')).statusCode, 400);
  t.equal((await get('?from=2016-12-31T23:59:60Z')).statusCode, 400, 'a leap second has no Date');

  await t.test('pages', async (t) => {
    const first = (await get('?limit=2')).json();
    t.equal(first.decisions.length, 2);
    const second = (await get(`?limit=2&cursor=${first.nextCursor}`)).json();
    t.equal(second.decisions.length, 1);
    t.equal(second.nextCursor, null);
    t.equal((await get(`?effect=DENY&cursor=${first.nextCursor}`)).statusCode, 400, 'the cursor of another filter');
  });

  await t.test('one decision', async (t) => {
    const [, denied] = (await get('')).json().decisions;
    t.match(denied, {
      agentId: mine,
      action: 'agent.promotion',
      decision: 'deny',
      tier: 3,
      reasons: [{ code: 'BUDGET_EXCEEDED' }, { code: 'TEMPERATURE_VIOLATION' }],
      actor: { id: OPERATOR.id, kind: 'human' },
      traceId: OPERATOR.traceId,
    });
    const [event] = await world.events(['promotion.denied']);
    t.equal(denied.auditSeq, Number(event.seq));
    t.same((await get(`/${denied.decisionId}`)).json(), denied);
    t.equal((await get(`/${newId()}`)).statusCode, 404);
    t.equal((await get('/x')).statusCode, 404);
    t.equal((await get(`/${denied.decisionId}`, 'operator@other')).statusCode, 404);
  });

  await t.test('an agent sees its own', async (t) => {
    const as = `agent:${mine}@demo`;
    t.same(await kinds('', as), all.slice(0, 2));
    t.equal((await get(`?agentId=${other}`, as)).statusCode, 404);
    const [, , foreign] = (await get('')).json().decisions;
    t.equal((await get(`/${foreign.decisionId}`, as)).statusCode, 404);
  });
});
