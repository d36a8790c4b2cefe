import t from 'tap';

import { SCENARIOS } from '../system/support/event-scenarios.ts';
import { changesState, operations } from '../system/support/operations.ts';
import { MINUTE, openWorld } from '../system/support/world.ts';

/** What goes on while a workspace is suspended: brakes, the audit, and what puts it in order. */
const GO_ON = new Set([
  'cancelSandboxRun',
  'elevate',
  'emergencyStopAgent',
  'endElevation',
  'engageAgentKillSwitch',
  'engageWorkspaceKillSwitch',
  'clearAgentKillSwitch',
  'clearWorkspaceKillSwitch',
  'erasePersonalData',
  'patchWorkspaceSettings',
  'placeAuditHold',
  'pruneAudit',
  'quarantineAgent',
  'reattestAudit',
  'releaseAuditHold',
  'resumeWorkspace',
  'stopAgent',
  'stopSpawnedAgent',
  'suspendWorkspace',
]);
/** What says no for each agent of its own; what is about agents that run, of which there are none. */
const OTHERWISE = new Set(['batchAgents', 'scaleSpawnedAgent']);

const ofWorkspaces = operations()
  .filter(changesState)
  .filter(({ path }) => path.includes('{workspaceId}') || path.startsWith('/api/'))
  .filter(({ operationId }) => !GO_ON.has(operationId) && !OTHERWISE.has(operationId));

t.test('every operation that changes a workspace is refused while it is suspended', async (t) => {
  const world = await openWorld(t);
  for (const { operationId, method } of ofWorkspaces) {
    const scenario = SCENARIOS.find(({ operation, chain }) => operation === operationId && chain === undefined);
    if (scenario === undefined) throw new RangeError(`no scenario of ${operationId}`);
    await t.test(operationId, async (t) => {
      world.pass(MINUTE);
      const workspaceId = await world.workspace();
      const { path, body } = await scenario.prepare(world, workspaceId);
      await world.expect(200, 'kernel-admin', 'POST', `/v1/workspaces/${workspaceId}/suspend`, { reason: 'test' });
      const { events, result } = await world.eventsOf(() => world.call('kernel-admin', method, path, body));
      t.match(result, { status: 403, body: { code: 'WORKSPACE_SUSPENDED' } }, result.text);
      t.equal(events.length, 1, 'and that is in the audit');
      t.match(events[0], { chain: workspaceId, type: /^(?:access\.denied|.*\.denied)$/ });
    });
  }
});
