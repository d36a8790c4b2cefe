import type { Scenario } from './event-scenarios.ts';
import type { World } from './world.ts';

type Prepare = Scenario['prepare'];

const REASON = { reason: 'it went wrong' };
const pathOf = (agentId: string) => `/api/v1/agent/${agentId}/sandbox`;

function running(...tests: readonly string[]): Prepare {
  return async (world, workspaceId) => ({
    path: `${pathOf(await world.sandboxAgent(workspaceId))}/run`,
    body: { tests, timeout_seconds: tests.includes(ENDLESS) ? 1 : 60 },
  });
}

const ENDLESS = 'sleep 60000';

const againstSwitch: Prepare = async (world, workspaceId) => {
  const agentId = await world.sandboxAgent(workspaceId);
  await world.expect(200, 'kernel-admin', 'PUT', `/v1/workspaces/${workspaceId}/agents/${agentId}/kill-switch`, REASON);
  return { path: `${pathOf(agentId)}/run`, body: { tests: ['echo a'] } };
};

async function begun(world: World, workspaceId: string): Promise<string> {
  const path = pathOf(await world.sandboxAgent(workspaceId));
  const body = { tests: ['hold'], async: true };
  const answer = await world.expect(202, 'kernel-admin', 'POST', `${path}/run`, body);
  return `${path}/runs/${answer.body.run_id}/cancel`;
}

/** What a run writes that its caller waits for, and what ends one. */
export const SANDBOX_RUN_SCENARIOS: readonly Scenario[] = [
  {
    operation: 'runSandbox',
    why: 'all is well',
    status: 200,
    events: ['sandbox.run.created', 'sandbox.run.completed'],
    prepare: running('echo a', 'echo b'),
    holds: ({ body }) => body.status === 'passed',
  },
  {
    operation: 'runSandbox',
    why: 'a command fails',
    status: 200,
    events: ['sandbox.run.created', 'sandbox.run.failed'],
    prepare: running('exit 1', 'echo b'),
  },
  {
    operation: 'runSandbox',
    why: 'its time is over',
    status: 200,
    events: ['sandbox.run.created', 'sandbox.run.timeout'],
    prepare: running(ENDLESS, 'echo b'),
  },
  {
    operation: 'runSandbox',
    why: 'a command takes too much',
    status: 200,
    events: ['sandbox.run.created', 'sandbox.run.killed'],
    prepare: running('oom'),
  },
  {
    operation: 'runSandbox',
    why: 'a command cannot be set up',
    status: 200,
    events: ['sandbox.run.created', 'sandbox.run.error'],
    prepare: running('setup_failed'),
  },
  {
    operation: 'runSandbox',
    why: 'against a kill switch',
    status: 403,
    events: ['sandbox.run.denied'],
    prepare: againstSwitch,
  },
  {
    operation: 'cancelSandboxRun',
    why: 'it runs',
    status: 200,
    events: ['sandbox.run.cancelled'],
    prepare: async (world, workspaceId) => ({ path: await begun(world, workspaceId) }),
  },
  {
    operation: 'cancelSandboxRun',
    why: 'it has ended',
    status: 200,
    events: [],
    prepare: async (world, workspaceId) => {
      const path = await begun(world, workspaceId);
      await world.expect(200, 'kernel-admin', 'POST', path);
      return { path };
    },
  },
];
