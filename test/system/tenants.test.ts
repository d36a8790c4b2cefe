import t, { type Test } from 'tap';

import { SAMPLE_AGENT_ID } from '../../src/certs/clients.ts';
import { sha256Digest } from '../../src/crypto/digest.ts';
import permissions from '../identity/permissions.json' with { type: 'json' };
import type { Answer } from '../support/service.ts';
import { type Operation, operations, pathOf } from './support/operations.ts';
import { MINUTE, openWorld, type World } from './support/world.ts';

const OPERATIONS = operations();
/** One development identity per role; their names are those of the roles. */
const ROLES = ['operator', 'orchestrator', 'kernel-approver', 'kernel-admin', 'auditor', 'agent', 'gateway'];
const AGENT_PRINCIPAL = `spiffe://castellan.dev/ws/demo/agent/${SAMPLE_AGENT_ID}`;

/** What "own only" leaves to an agent: what names it, and what is narrowed to it. */
const FOR_AGENTS = new Set([
  'emergencyStopAgent',
  'followSandboxRun',
  'getAgent',
  'getAgentGovernance',
  'getAgentKillSwitch',
  'getAgentLogs',
  'getAgentStatus',
  'getDecision',
  'getOpenApi',
  'getPolicySnapshot',
  'getSandboxRun',
  'getWorkspace',
  'listAgentVersions',
  'listDecisions',
  'listSandboxRuns',
  'listWorkspaces',
  'verifyProof',
]);

function mayCall(role: string, { permission, operationId }: Operation): boolean {
  if (permission === 'authenticated') return true;
  if (role === 'agent') return FOR_AGENTS.has(operationId);
  const entry = permissions.find((one) => one.permissions.includes(permission));
  if (entry === undefined) throw new RangeError(`${permission} is not in the table`);
  return entry.roles.includes(role);
}

t.test('a role does what the table gives it, and what it may not do is in the audit', async (t) => {
  const world = await openWorld(t);
  await sampleAgent(world);
  for (const operation of OPERATIONS) {
    await t.test(operation.operationId, async (t) => {
      for (const role of ROLES) await checkRole(t, world, operation, role);
    });
  }
});

async function checkRole(t: Test, world: World, operation: Operation, role: string): Promise<void> {
  // Past the second's and the minute's bounds, so that each denial has an event of its own.
  world.pass(MINUTE + 1);
  const path = pathOf(operation, role === 'agent' ? { agentId: SAMPLE_AGENT_ID } : {});
  const { events, result } = await world.eventsOf(() =>
    world.changesOf(() => world.call(role, operation.method, path)),
  );
  const answer = result.result;
  const denials = events.filter(({ type }) => type === 'access.denied');
  if (mayCall(role, operation)) {
    t.notOk([401, 403].includes(answer.status), `${role} may: ${answer.status} ${answer.text.slice(0, 200)}`);
    t.ok(answer.status < 500, `${role}: ${answer.text}`);
    t.same(denials, [], `${role} leaves no denial`);
    return;
  }
  t.equal(answer.status, 403, `${role} may not: ${answer.text.slice(0, 200)}`);
  t.equal(answer.body.code, 'PERMISSION_DENIED');
  t.match(answer.headers['content-type'], /^application\/problem\+json/);
  t.equal(events.length, 1);
  const { permission, method } = operation;
  t.match(events[0], {
    chain: operation.path.includes('{workspaceId}') ? 'demo' : '_system',
    type: 'access.denied',
    actor: role === 'agent' ? AGENT_PRINCIPAL : role,
    payload: { code: 'PERMISSION_DENIED', permission, count: 1, route: new RegExp(`^${method} /`) },
  });
  t.same(result.changed, [], 'nothing changed');
}

t.test("what is not the caller's and what does not exist cannot be told apart", async (t) => {
  const world = await openWorld(t);
  const agentId = await world.sandboxAgent('demo');
  const noOne = { agentId: '01975a00-0000-7000-8000-0000000000ee' };
  for (const operation of OPERATIONS.filter(({ path }) => path.includes('{workspaceId}'))) {
    await t.test(operation.operationId, async (t) => {
      world.pass(MINUTE + 1);
      const call = (given: Record<string, string>) =>
        world.call('outsider', operation.method, pathOf(operation, given));
      const { events, result } = await world.eventsOf(async () => ({
        theirs: await call({ workspaceId: 'demo', agentId }),
        others: [
          await call({ workspaceId: 'demo', ...noOne }),
          await call({ workspaceId: 'nowhere', agentId }),
          await call({ workspaceId: 'nowhere', ...noOne }),
        ],
      }));
      t.equal(result.theirs.status, 404, result.theirs.text);
      t.equal(result.theirs.body.code, 'NOT_FOUND');
      for (const other of result.others) t.same(visible(other), visible(result.theirs));
      t.same(
        events.map(({ chain, type, actor, payload }) => [chain, type, actor, payload['workspaceDigest']]),
        ['demo', 'demo', 'nowhere', 'nowhere'].map((name) => [
          '_system',
          'access.denied',
          'outsider',
          sha256Digest(name),
        ]),
        'in the chain of nobody, without the name',
      );
    });
  }
  await t.test('nor can an agent of another workspace, asked for in the own one', async (t) => {
    const own = (id: string) => world.call('outsider', 'GET', `/v1/workspaces/other/agents/${id}`);
    const theirs = await world.call('outsider', 'GET', `/v1/workspaces/demo/agents/${agentId}`);
    t.same(visible(await own(agentId)), visible(theirs));
    t.same(visible(await own(noOne.agentId)), visible(theirs));
    t.same(visible(await own('not-an-id')), visible(theirs));
  });
  await t.test('lists show what is the own', async (t) => {
    const { workspaces } = (await world.expect(200, 'outsider', 'GET', '/v1/workspaces')).body;
    t.same(
      workspaces.map((one: { workspaceId: string }) => one.workspaceId),
      ['other'],
    );
    t.same((await world.expect(200, 'outsider', 'GET', '/v1/workspaces/other/agents')).body.agents, []);
    t.same((await world.expect(200, 'operator', 'GET', '/v1/workspaces/demo/agents')).body.total, 1);
  });
});

t.test('an agent sees itself and no other', async (t) => {
  const world = await openWorld(t);
  await sampleAgent(world);
  const other = await world.sandboxAgent('demo');
  const base = '/v1/workspaces/demo';
  for (const id of [SAMPLE_AGENT_ID, other]) {
    await world.expect(200, 'operator', 'POST', `${base}/agents/${id}/start`);
  }
  for (const operation of OPERATIONS.filter(({ path, method }) => path.includes('{agentId}') && method === 'GET')) {
    t.equal((await world.call('agent', 'GET', pathOf(operation, { agentId: SAMPLE_AGENT_ID }))).status, 200);
    const { events, result } = await world.eventsOf(async () => ({
      other: await world.call('agent', 'GET', pathOf(operation, { agentId: other })),
      nobody: await world.call('agent', 'GET', pathOf(operation)),
    }));
    t.equal(result.other.status, 404, operation.operationId);
    t.same(visible(result.other), visible(result.nobody));
    t.same(
      events.map(({ chain, type, actor }) => [chain, type, actor]),
      Array.from({ length: 2 }, () => ['_system', 'access.denied', AGENT_PRINCIPAL]),
    );
  }
  const all = (await world.expect(200, 'operator', 'GET', `${base}/decisions`)).body.decisions;
  const mine = (await world.expect(200, 'agent', 'GET', `${base}/decisions`)).body.decisions;
  t.same([all.length, mine.length], [2, 1]);
  t.equal(mine[0].agentId, SAMPLE_AGENT_ID);
  const theirs = all.find((one: { agentId: string }) => one.agentId === other);
  t.equal((await world.call('agent', 'GET', `${base}/decisions/${theirs.decisionId}`)).status, 404);
  t.equal((await world.call('agent', 'GET', `${base}/decisions/${mine[0].decisionId}`)).status, 200);
  const asked = await world.call('agent', 'GET', `${base}/decisions?agentId=${other}`);
  t.same([asked.status, asked.body.decisions ?? []], [asked.status, []], 'not by asking for it either');
  const elsewhere = await world.call('agent', 'GET', `/v1/workspaces/other/agents/${SAMPLE_AGENT_ID}`);
  t.equal(elsewhere.status, 404);
  const { workspaces } = (await world.expect(200, 'agent', 'GET', '/v1/workspaces')).body;
  t.same(
    workspaces.map((one: { workspaceId: string }) => one.workspaceId),
    ['demo'],
  );
});

t.test('ten refusals of a minute are told one by one, the others by their number', async (t) => {
  const world = await openWorld(t);
  const refused = () => world.call('outsider', 'GET', '/v1/workspaces/demo/agents');
  const { events: first } = await world.eventsOf(async () => {
    for (let nth = 0; nth < 15; nth += 1) t.equal((await refused()).status, 404);
  });
  t.same(
    first.map(({ payload }) => payload['count']),
    Array.from({ length: 10 }, () => 1),
  );
  const { events: elsewhere } = await world.eventsOf(() => world.call('outsider', 'GET', '/v1/workspaces/demo'));
  t.equal(elsewhere.length, 1, 'another route is counted apart');
  const { events: role } = await world.eventsOf(() => world.call('auditor', 'POST', '/v1/workspaces/demo/agents'));
  t.equal(role.length, 1, 'so is another caller');

  const { events: counted } = await world.eventsOf(async () => {
    world.pass(MINUTE);
    await world.service.app.accessRecorder.flush();
    const deadline = Date.now() + 5000;
    while ((await held(world)) === 0 && Date.now() < deadline);
  });
  t.same(
    counted.map(({ chain, type, payload }) => [chain, type, payload['count']]),
    [['_system', 'access.denied', 5]],
  );
  const { events: next } = await world.eventsOf(refused);
  t.same(
    next.map(({ payload }) => payload['count']),
    [1],
    'a new minute begins anew',
  );
});

async function held({ database }: World): Promise<number> {
  const { rows } = await database.query(
    `SELECT count(*)::int AS n FROM audit_events WHERE event_type = 'access.denied' AND (payload->>'count')::int > 1`,
  );
  return rows[0]?.n ?? 0;
}

/** All that a stranger can see of a refusal, but for what names the request. */
function visible({ status, headers, body }: Answer) {
  const { instance: _instance, ...shown } = body;
  const { date: _date, 'x-request-id': _id, ...told } = headers;
  return { status, told, shown };
}

/** The agent of `agent.crt`, which `castellan dev` makes: its id is given, so it cannot come from the API. */
async function sampleAgent(world: World): Promise<void> {
  const agentId = await world.sandboxAgent('demo');
  for (const statement of [
    'UPDATE agents SET id = $2 WHERE id = $1',
    'UPDATE agent_specs SET agent_id = $2 WHERE agent_id = $1',
    'UPDATE agent_directory SET agent_id = $2 WHERE agent_id = $1',
  ]) {
    await world.sql(statement, [agentId, SAMPLE_AGENT_ID]);
  }
}
