import { randomUUID } from 'node:crypto';
import t, { type Test } from 'tap';

import { type Answer, type TestService, testService } from '../support/service.ts';
import { SCENARIOS, type Scenario } from '../system/support/event-scenarios.ts';
import { changesState, operations } from '../system/support/operations.ts';
import { openWorld } from '../system/support/world.ts';
import { dieAfterNextCommit } from './support.ts';

const ACTING = operations().filter((operation) => operation.method === 'POST' && changesState(operation));

/** Of the service itself, on the way: that of an elevation whose time is over. */
const BY_ITSELF: Readonly<Record<string, string>> = { elevate: 'access.breakglass.ended' };

/** How a run ended is by the service. */
const RUN_ENDS = /^sandbox\.run\.(?!created|denied)/;

/** By a revalidation, whoever asked for it. */
const FOUND = ['agent.revalidated', 'agent.invalidated', 'proof.renewed', 'proof.mass.renewed'];

/** Another valid body for each operation: the same key must not stand for both. */
const OTHER_BODY: Readonly<Record<string, object>> = {
  activateSigner: {},
  approvePromotion: { comment: 'other' },
  batchAgents: { action: 'stop', agentIds: [randomUUID()] },
  cancelSandboxRun: {},
  compromiseSigner: { reason: 'other' },
  createAgent: { spec: { name: 'other' } },
  createTemplate: { name: 'other', agent_config: {} },
  createWorkspace: { workspaceId: 'another-workspace' },
  erasePersonalData: { actorId: 'other', reason: 'other' },
  elevate: { workspaceId: 'other', minutes: 1, justification: 'other' },
  emergencyStopAgent: { stopToken: 'other' },
  eraseSystemPersonalData: { actorId: 'other', reason: 'other' },
  forkAgent: { name: 'other' },
  hotReloadPolicy: { policySet: 'other', bundle: { modules: {}, data: {} } },
  importSigners: { signers: [{ signerId: 'other', alg: 'Ed25519', purpose: 'manifest', publicKey: 'other' }] },
  placeAccessLock: { principalId: 'other', reason: 'other' },
  promoteAgent: { justification: 'other' },
  pruneAudit: { to: 1, reason: 'other' },
  pruneSystemAudit: { to: 1, reason: 'other' },
  quarantineAgent: { reason: 'other' },
  reattestAudit: { signerId: 'other', reason: 'other' },
  reattestSystemAudit: { signerId: 'other', reason: 'other' },
  registerSigner: { signerId: 'other', alg: 'Ed25519', purpose: 'proof', publicKey: 'other' },
  rejectPromotion: { reason: 'other' },
  releaseAgent: { reason: 'other' },
  resumeWorkspace: { reason: 'other' },
  retireSigner: {},
  revalidateAgents: { agentIds: [randomUUID()] },
  revokeSigner: { reason: 'other' },
  rollBackPolicy: { version: 1, reason: 'other' },
  rotateSigner: { reason: 'other' },
  runSandbox: { tests: ['echo other'] },
  scaleSpawnedAgent: { replicas: 7 },
  spawnAgent: { agent_config: { name: 'other' } },
  startAgent: { replicas: 3 },
  startSpawnedAgent: { replicas: 3 },
  stopAgent: { reason: 'other' },
  stopSpawnedAgent: { reason: 'other' },
  suspendWorkspace: { reason: 'other' },
};

const one = await openWorld(t, { checkpoints: {} });
// What a scenario's clock makes due is not to be written while another is looked at.
const two = await testService(t, { replicaOf: one, clock: one.now, withoutJobs: ['kill-switch', 'break-glass'] });

function call(at: TestService, path: string, body: unknown, key: string): Promise<Answer> {
  return at.call('kernel-admin', 'POST', path, body, { 'idempotency-key': key });
}

async function keptRows(): Promise<number> {
  const { rows } = await one.database.query(`SELECT count(*)::int AS n FROM idempotency_keys WHERE item = ''`);
  return rows[0].n;
}

/** Contract §4: answers that are remembered. */
function isKept({ status, body }: Answer): boolean {
  return (status >= 200 && status < 300) || (status === 403 && body.decisionId !== undefined);
}

function sameAnswer(t: Test, again: Answer, first: Answer): void {
  t.equal(again.status, first.status);
  t.equal(again.text, first.text, 'byte for byte');
  for (const name of ['etag', 'location', 'content-type']) t.equal(again.headers[name], first.headers[name], name);
  t.equal(again.headers['idempotent-replayed'], 'true');
}

t.test('every acting POST of openapi.yaml is looked at here', async (t) => {
  const acting = ACTING.map(({ operationId }) => operationId).sort();
  t.same(Object.keys(OTHER_BODY).sort(), acting);
  const done = new Set(SCENARIOS.filter(({ status }) => status < 300).map(({ operation }) => operation));
  t.same(
    acting.filter((operationId) => !done.has(operationId)),
    [],
    'each has a scenario in which it does something',
  );
});

const scenarios = SCENARIOS.filter(({ operation }) => ACTING.some(({ operationId }) => operationId === operation));
for (const scenario of scenarios) {
  const { operation, why, prepare } = scenario;
  t.test(`${operation}: ${why}`, async (t) => {
    const key = randomUUID();
    const before = await keptRows();
    const { path, body } = await prepare(one, await one.workspace());
    const first = await call(one, path, body, key);
    t.equal(first.status, scenario.status, first.text);
    t.equal(first.headers['idempotent-replayed'], undefined);
    if (!isKept(first)) {
      t.equal(await keptRows(), before, 'such an answer is not kept');
      t.equal((await call(one, path, body, key)).headers['idempotent-replayed'], undefined);
      return;
    }
    t.equal(await keptRows(), before + 1);

    for (const at of [one, two]) {
      const { events, result } = await one.eventsOf(() => one.changesOf(() => call(at, path, body, key)));
      sameAnswer(t, result.result, first);
      t.same([events, result.changed], [[], []], 'nothing happened again');
    }

    // Where the body names the workspace, the key is one of that workspace.
    const { workspace_id: named } = Object.assign({ workspace_id: undefined }, body);
    const other = await call(two, path, { ...OTHER_BODY[operation], workspace_id: named }, key);
    t.match(other, { status: 422, body: { code: 'IDEMPOTENCY_KEY_REUSED' } });

    const elsewhere = await prepare(one, await one.workspace());
    if (elsewhere.path === path) return;
    const independent = await call(one, elsewhere.path, elsewhere.body, key);
    t.equal(independent.status, scenario.status, independent.text);
    t.equal(independent.headers['idempotent-replayed'], undefined, 'the key means something else on another path');
  });
}

/** What is committed without its answer is the same for every outcome of an operation: its first success, and its first denial. */
const lostOnce = new Map(
  scenarios
    .filter(({ status }) => status < 300 || status === 403)
    .toReversed()
    .map((scenario) => [`${scenario.operation} ${scenario.status}`, scenario]),
);
for (const scenario of lostOnce.values()) {
  const { operation, why } = scenario;
  t.test(`${operation}: ${why}; committed, and the answer lost`, (t) => answerLost(t, scenario));
}

async function answerLost(t: Test, { operation, prepare, status, events: expected, chain }: Scenario): Promise<void> {
  const key = randomUUID();
  const workspaceId = await one.workspace();
  const { path, body } = await prepare(one, workspaceId);
  const revive = dieAfterNextCommit(one);
  const { events: written, result: lost } = await one.eventsOf(() => call(one, path, body, key)).finally(revive);
  // Refused before anything was committed.
  if (lost.status === 403) return;
  t.equal(lost.status, 503, lost.text);

  const { events, result: again } = await one.eventsOf(() => call(two, path, body, key));
  t.equal(again.status, status, again.text);
  // A refusal that is no decision, such as of a manifest, is not kept: it is found out again.
  if (!isKept(again)) return;
  const isBatch = path.endsWith(':batch');
  if (!isBatch) t.equal(again.headers['idempotent-replayed'], 'true', 'the first answer, not a second effect');
  const whole = [...written, ...events].filter((event) => chain === undefined || event.chain === chain);
  const byRequest = whole.filter(({ actor }) => actor === 'kernel-admin').map(({ type }) => type);
  // What a revalidation finds is its own, and comes when somebody takes it up.
  const others = [...(path.includes('/policy/') ? FOUND : []), BY_ITSELF[operation]];
  const wanted = expected.filter((type) => !others.includes(type) && !RUN_ENDS.test(type));
  t.same(byRequest.sort(), [...wanted].sort(), 'one effect');
  if (!isBatch) return;
  sameAnswer(t, await call(one, path, body, key), again);
}
