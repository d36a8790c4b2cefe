import type { Scenario } from './event-scenarios.ts';
import { SPEC, type World } from './world.ts';

const FLEET = '/v1/kill-switch';
const REASON = { reason: 'it went wrong' };

type Prepare = Scenario['prepare'];

const ofWorkspace = (workspaceId: string) => `/v1/workspaces/${workspaceId}`;

async function agent(world: World, workspaceId: string, running = true): Promise<string> {
  const path = `${ofWorkspace(workspaceId)}/agents/${await world.sandboxAgent(workspaceId, SPEC)}`;
  if (running) await world.expect(200, 'kernel-admin', 'POST', `${path}/start`);
  return path;
}

function on(made: (world: World, workspaceId: string) => Promise<string>, engaged: boolean): Prepare {
  return async (world, workspaceId) => {
    const path = `${await made(world, workspaceId)}/kill-switch`;
    if (engaged) await world.expect(200, 'kernel-admin', 'PUT', path, REASON);
    return { path, body: REASON };
  };
}

async function busyWorkspace(world: World, workspaceId: string): Promise<string> {
  await agent(world, workspaceId);
  return ofWorkspace(workspaceId);
}

const idleWorkspace = async (_world: World, workspaceId: string) => ofWorkspace(workspaceId);
const idleAgent = (world: World, workspaceId: string) => agent(world, workspaceId, false);

/** Nothing of the other scenarios runs. */
async function calm(world: World): Promise<void> {
  await world.sql(`UPDATE agents SET status = 'stopped' WHERE status IN ('starting', 'running')`);
}

const engageFleet = `INSERT INTO kill_switches VALUES ('_system', '', now(), 'somebody', 1)`;
const clearFleet = async (world: World) => world.sql(`DELETE FROM kill_switches WHERE workspace_id = '_system'`);

/** Switches of agents, workspaces and all of them. */
export const KILL_SWITCH_SCENARIOS: readonly Scenario[] = [
  {
    operation: 'engageAgentKillSwitch',
    why: 'it runs',
    status: 200,
    events: ['killswitch.engaged', 'agent.stopped'],
    prepare: on(agent, false),
  },
  {
    operation: 'engageAgentKillSwitch',
    why: 'twice',
    status: 200,
    events: [],
    prepare: on(agent, true),
  },
  {
    operation: 'clearAgentKillSwitch',
    why: 'it was engaged',
    status: 200,
    events: ['killswitch.cleared'],
    prepare: on(idleAgent, true),
  },
  {
    operation: 'clearAgentKillSwitch',
    why: 'it was not engaged',
    status: 200,
    events: [],
    prepare: on(idleAgent, false),
  },
  {
    operation: 'engageWorkspaceKillSwitch',
    why: 'an agent runs there',
    status: 200,
    events: ['killswitch.engaged', 'agent.stopped'],
    prepare: on(busyWorkspace, false),
  },
  {
    operation: 'engageWorkspaceKillSwitch',
    why: 'twice',
    status: 200,
    events: [],
    prepare: on(busyWorkspace, true),
  },
  {
    operation: 'clearWorkspaceKillSwitch',
    why: 'it was engaged',
    status: 200,
    events: ['killswitch.cleared'],
    prepare: on(idleWorkspace, true),
  },
  {
    operation: 'clearWorkspaceKillSwitch',
    why: 'it was not engaged',
    status: 200,
    events: [],
    prepare: on(idleWorkspace, false),
  },
  {
    operation: 'engageKillSwitch',
    why: 'nothing runs',
    status: 200,
    chain: '_system',
    events: ['killswitch.engaged'],
    prepare: async (world) => {
      await calm(world);
      return { path: FLEET, body: REASON };
    },
    after: clearFleet,
  },
  {
    operation: 'engageKillSwitch',
    why: 'it is engaged, and an agent still runs',
    status: 200,
    events: ['agent.stopped'],
    prepare: async (world, workspaceId) => {
      await calm(world);
      await agent(world, workspaceId);
      await world.sql(engageFleet);
      return { path: FLEET, body: REASON };
    },
    after: clearFleet,
  },
  {
    operation: 'clearKillSwitch',
    why: 'it was engaged',
    status: 200,
    chain: '_system',
    events: ['killswitch.cleared'],
    prepare: async (world) => {
      await world.sql(engageFleet);
      return { path: FLEET, body: REASON };
    },
    after: clearFleet,
  },
];
