import { newId } from '../../../src/ids.ts';
import { manifestFor, seal, trustedKey } from '../../manifests/support.ts';
import type { Prepared, Scenario } from './event-scenarios.ts';
import { SPEC, type World } from './world.ts';

const SPAWN = '/api/v1/agent/spawn';
const TEMPLATES = '/api/v1/templates';
const KERNELS = { ...SPEC, profile: 'illuvrse' };
const CONFIG = { description: 'made from a template' };

type Prepare = Scenario['prepare'];

async function withManifest(world: World, config: object): Promise<object> {
  return seal(await trustedKey(world), manifestFor(world, config));
}

const spawnOf =
  (config: object): Prepare =>
  async (_world, workspaceId) => ({ path: SPAWN, body: { agent_config: config, workspace_id: workspaceId } });

const templateOf =
  (config: object): Prepare =>
  async (_world, workspaceId) => ({
    path: TEMPLATES,
    body: { name: 'reader', agent_config: config, workspace_id: workspaceId },
  });

/** A body with a manifest for its config. */
function manifested(prepare: (config: object) => Prepare): Prepare {
  return async (world, workspaceId) => {
    const { path, body } = await prepare(KERNELS)(world, workspaceId);
    return { path, body: { ...Object(body), manifest: await withManifest(world, KERNELS) } };
  };
}

async function template(world: World, workspaceId: string): Promise<string> {
  const body = { template_id: `t-${newId()}`, name: 'reader', agent_config: CONFIG, workspace_id: workspaceId };
  await world.expect(201, 'kernel-admin', 'POST', TEMPLATES, body);
  return `${TEMPLATES}/${body.template_id}`;
}

function onTemplate(body?: (world: World) => Promise<object>): Prepare {
  return async (world, workspaceId) => {
    const path = await template(world, workspaceId);
    return body === undefined ? { path } : { path, body: await body(world) };
  };
}

const act = (agentId: string, action: string) => `/api/v1/agent/${agentId}/${action}`;

function onAgent(action: string, body: object, options: { running?: boolean; spec?: object } = {}): Prepare {
  return async (world, workspaceId): Promise<Prepared> => {
    const agentId = await world.sandboxAgent(workspaceId, options.spec);
    if (options.running === true) {
      await world.expect(200, 'kernel-admin', 'POST', act(agentId, 'start'), { replicas: 2 });
    }
    return { path: act(agentId, action), body };
  };
}

/** A running agent whose spec somebody edited: whatever is launched now is refused. */
const editedWhileRunning: Prepare = async (world, workspaceId) => {
  const prepared = await onAgent('scale', { replicas: 3 }, { running: true })(world, workspaceId);
  await world.sql(
    `UPDATE agent_specs SET spec = '{"name":"reader","containment":{"externalCalls":true}}' WHERE workspace_id = $1`,
    [workspaceId],
  );
  return prepared;
};

/** The routes of an agent manager's callers. */
export const AGENT_MANAGER_SCENARIOS: readonly Scenario[] = [
  { operation: 'spawnAgent', why: 'a new agent', status: 201, events: ['agent.created'], prepare: spawnOf(SPEC) },
  {
    operation: 'spawnAgent',
    why: 'with a manifest in force',
    status: 201,
    events: ['manifest.accepted', 'agent.created'],
    prepare: manifested(spawnOf),
  },
  {
    operation: 'spawnAgent',
    why: 'a profile that needs a manifest',
    status: 403,
    events: ['manifest.rejected'],
    prepare: spawnOf(KERNELS),
  },
  {
    operation: 'spawnAgent',
    why: 'from a template',
    status: 201,
    events: ['agent.created'],
    prepare: async (world, workspaceId) => {
      const templateId = (await template(world, workspaceId)).split('/').at(-1);
      return {
        path: SPAWN,
        body: { agent_config: { name: 'b' }, template_id: templateId, workspace_id: workspaceId },
      };
    },
  },
  {
    operation: 'createTemplate',
    why: 'a new one',
    status: 201,
    events: ['template.created'],
    prepare: templateOf(CONFIG),
  },
  {
    operation: 'createTemplate',
    why: 'with a manifest in force',
    status: 201,
    events: ['manifest.accepted', 'template.created'],
    prepare: manifested(templateOf),
  },
  {
    operation: 'createTemplate',
    why: 'of a profile that needs a manifest',
    status: 403,
    events: ['manifest.rejected'],
    prepare: templateOf(KERNELS),
  },
  {
    operation: 'patchTemplate',
    why: 'another config',
    status: 200,
    events: ['template.updated'],
    prepare: onTemplate(async () => ({ agent_config: { tools: ['search'] } })),
  },
  {
    operation: 'patchTemplate',
    why: 'the same config',
    status: 200,
    events: [],
    prepare: onTemplate(async () => ({ agent_config: {} })),
  },
  {
    operation: 'patchTemplate',
    why: 'to a profile that needs a manifest, with one',
    status: 200,
    events: ['manifest.accepted', 'template.updated'],
    prepare: onTemplate(async (world) => ({
      agent_config: { profile: 'illuvrse' },
      manifest: await withManifest(world, { ...CONFIG, profile: 'illuvrse' }),
    })),
  },
  {
    operation: 'patchTemplate',
    why: 'to a profile that needs a manifest, without one',
    status: 403,
    events: ['manifest.rejected'],
    prepare: onTemplate(async () => ({ agent_config: { profile: 'illuvrse' } })),
  },
  { operation: 'deleteTemplate', why: 'it goes', status: 204, events: ['template.deleted'], prepare: onTemplate() },
  {
    operation: 'startSpawnedAgent',
    why: 'admission lets it',
    status: 200,
    events: ['agent.start.allowed'],
    prepare: onAgent('start', {}),
  },
  {
    operation: 'startSpawnedAgent',
    why: 'admission denies it',
    status: 403,
    events: ['agent.start.denied'],
    prepare: onAgent('start', {}, { spec: { ...SPEC, containment: { externalCalls: true } } }),
  },
  {
    operation: 'stopSpawnedAgent',
    why: 'it ran',
    status: 200,
    events: ['agent.stopped'],
    prepare: onAgent('stop', {}, { running: true }),
  },
  { operation: 'stopSpawnedAgent', why: 'it did not run', status: 200, events: [], prepare: onAgent('stop', {}) },
  {
    operation: 'scaleSpawnedAgent',
    why: 'up',
    status: 200,
    events: ['agent.scaled'],
    prepare: onAgent('scale', { replicas: 4 }, { running: true }),
  },
  {
    operation: 'scaleSpawnedAgent',
    why: 'down',
    status: 200,
    events: ['agent.scaled'],
    prepare: onAgent('scale', { replicas: 1 }, { running: true }),
  },
  {
    operation: 'scaleSpawnedAgent',
    why: 'it has as many',
    status: 200,
    events: [],
    prepare: onAgent('scale', { replicas: 2 }, { running: true }),
  },
  {
    operation: 'scaleSpawnedAgent',
    why: 'up, and admission denies it',
    status: 403,
    events: ['agent.start.denied'],
    prepare: editedWhileRunning,
  },
  {
    operation: 'scaleSpawnedAgent',
    why: 'it does not run',
    status: 409,
    events: [],
    prepare: onAgent('scale', { replicas: 4 }),
  },
];
