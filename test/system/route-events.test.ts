import t from 'tap';

import { SCENARIOS } from './support/event-scenarios.ts';
import { changesState, operations, pathOf } from './support/operations.ts';
import { openWorld } from './support/world.ts';

const OPERATIONS = operations();
/** Events that are all there is of what they say. */
const IN_THE_LOG_ALONE = new Set([
  'access.denied',
  'manifest.rejected',
  'policy.rejected',
  'audit.range.reattested',
  'audit.pruned',
]);

t.test('every operation that changes something has scenarios for exactly the events it declares', async (t) => {
  for (const { operationId, events } of OPERATIONS.filter(changesState)) {
    const seen = SCENARIOS.filter(({ operation }) => operation === operationId).flatMap((scenario) => scenario.events);
    t.same([...new Set(seen)].sort(), [...events].sort(), operationId);
  }
  const known = new Set(OPERATIONS.map(({ operationId }) => operationId));
  t.same(
    SCENARIOS.filter(({ operation }) => !known.has(operation)),
    [],
    'no scenario of an operation that is gone',
  );
});

t.test('an operation leaves its events and no others, and a change never goes without', async (t) => {
  const world = await openWorld(t, { checkpoints: {} });
  for (const { operation, why, status, events: expected, chain, prepare, holds, after } of SCENARIOS) {
    await t.test(`${operation}: ${why}`, async (t) => {
      const found = OPERATIONS.find(({ operationId }) => operationId === operation);
      const workspaceId = await world.workspace();
      const { path, body } = await prepare(world, workspaceId);
      const { events, result } = await world.eventsOf(() =>
        world.changesOf(() => world.call('kernel-admin', found?.method ?? '', path, body)),
      );
      t.equal(result.result.status, status, result.result.text);
      await after?.(world);
      if (holds !== undefined) t.ok(holds(result.result), result.result.text);
      t.same(events.map(({ type }) => type).sort(), [...expected].sort());
      const elsewhere = operation === 'createWorkspace' ? body : undefined;
      const own = chain ?? (elsewhere === undefined ? workspaceId : Reflect.get(Object(elsewhere), 'workspaceId'));
      t.same(
        events.filter((event) => event.chain !== own),
        [],
        'in the chain of the workspace',
      );
      t.same(
        events.filter(({ type, actor }) => actor !== (byService(type, operation) ? 'castellan' : 'kernel-admin')),
        [],
        'by who asked for it; what a revalidation finds is by the service',
      );
      if (expected.length === 0) t.same(result.changed, [], 'without an event nothing changed');
      else if (!IN_THE_LOG_ALONE.has(expected.join())) t.not(result.changed.length, 0, 'something changed');
    });
  }
});

t.test('an operation that only reads leaves nothing', async (t) => {
  const world = await openWorld(t, { checkpoints: {} });
  const agentId = await world.governedAgent('demo');
  const agent = `/v1/workspaces/demo/agents/${agentId}`;
  await world.expect(200, 'operator', 'POST', `${agent}/start`);
  const { decisions } = (await world.expect(200, 'operator', 'GET', '/v1/workspaces/demo/decisions')).body;
  const { promotions } = (await world.expect(200, 'operator', 'GET', '/v1/workspaces/demo/promotions')).body;
  const { body } = await world.expect(200, 'kernel-admin', 'POST', '/v1/workspaces/demo/policy/revalidate');
  const config = { name: 'reader', agent_config: {}, workspace_id: 'demo' };
  const template = (await world.expect(201, 'kernel-admin', 'POST', '/api/v1/templates', config)).body;
  const { governance } = (await world.expect(200, 'operator', 'GET', `${agent}/governance`)).body;
  await world.service.app.checkpoints?.round();
  const tried = { tests: ['echo a'] };
  const run = await world.expect(200, 'operator', 'POST', `/api/v1/agent/${agentId}/sandbox/run`, tried);
  const ids = {
    run_id: run.body.run_id,
    agentId,
    decisionId: decisions[0].decisionId,
    promotionId: promotions[0].promotionId,
    revalidationId: body.revalidation.id,
    template_id: template.template_id,
  };
  const lock = { principalId: 'p-7f3a', reason: 'lost laptop' };
  const { lockId } = (await world.expect(201, 'kernel-admin', 'POST', '/v1/access/locks', lock)).body;
  const principalId = `hu-${agentId}`;
  const person =
    "INSERT INTO people (id, kind, issuer, subject) VALUES ($1, 'human', 'https://issuer.example', 'alice')";
  await world.sql(person, [principalId]);
  const bodies: Readonly<Record<string, unknown>> = { verifyProof: { proof: governance.proof } };
  for (const operation of OPERATIONS.filter((one) => !changesState(one))) {
    const { operationId, method } = operation;
    const { events, result } = await world.eventsOf(() =>
      world.changesOf(() =>
        world.call('kernel-admin', method, pathOf(operation, { ...ids, lockId, principalId }), bodies[operationId]),
      ),
    );
    t.equal(result.result.status, 200, `${operationId}: ${result.result.text.slice(0, 300)}`);
    t.same(events, [], operationId);
    t.same(result.changed, [], operationId);
  }
});

/** A revalidation goes on without the caller, who may be long gone. */
function byService(type: string, operation: string): boolean {
  // An elevation that was over already; one that somebody ends is that one's.
  if (type === 'access.breakglass.ended') return operation === 'elevate';
  if (/^sandbox\.run\.(?!created|denied)/.test(type)) return true;
  const found = ['agent.revalidated', 'agent.invalidated', 'proof.renewed', 'proof.mass.renewed'];
  return operation !== 'releaseAgent' && found.includes(type);
}
