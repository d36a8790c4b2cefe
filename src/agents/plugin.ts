import fastifyPlugin from 'fastify-plugin';

import type { Clock } from '../clock.ts';
import type { ResourceCeilings } from '../config/runtime.ts';
import { claimAs } from '../idempotency/keyed-request.ts';
import { isUuid } from '../ids.ts';
import type { Trx } from '../storage/database.ts';
import { type BatchActions, createRunBatch } from './batch.ts';
import { createExpireDue, expireAll } from './expiry.ts';
import { createAgentLists } from './lists.ts';
import { found } from './lookup.ts';
import { agentView } from './representation.ts';
import { agentRoutes } from './routes.ts';
import { runRoutes } from './run-routes.ts';
import { createRunnable, type Runnable } from './runnable.ts';
import { createScaleAgent, type ScaleAgent } from './scale.ts';
import type { AgentView } from './schema.ts';
import { type AgentService, createAgentService } from './service.ts';
import { createStartAgent, type StartAgent, type StartObserver } from './start.ts';
import { type AgentBrakes, createAgentBrakes } from './stop.ts';
import { createStopAgents, createStopRunning, type StopAgents, type StopRunning } from './stop-running.ts';
import { findAgent, findWorkspaceOf } from './store.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** What other slices and jobs ask of agents. */
    readonly agents: {
      readonly create: AgentService['create'];
      readonly start: StartAgent;
      readonly stop: AgentBrakes['stop'];
      /** Undefined: nothing is run here. */
      readonly runnable: Runnable | undefined;
      readonly stopRunning: StopRunning;
      readonly stopAgents: StopAgents;
      readonly scale: ScaleAgent;
      /** The workspace of an agent, whosever it is; undefined when there is no such agent. */
      workspaceOf(agentId: string): Promise<string | undefined>;
      expireDue(signal: AbortSignal): Promise<void>;
      /** The agent as the API shows it, in the caller's transaction. Throws NotFound. */
      view(trx: Trx, workspaceId: string, agentId: string): Promise<AgentView>;
    };
  }
}

export interface AgentsPluginOptions {
  readonly clock: Clock;
  readonly ceilings: ResourceCeilings;
  readonly observe: StartObserver;
  /** Promotes one agent of a batch; looked up when it is called, for promotion is registered later. */
  readonly promote: BatchActions['promote'];
  /** In the unit that deletes an agent: what goes with it. Throws AgentError AGENT_RUNNING; looked up when it is called, too. */
  readonly removeWith: (trx: Trx, workspaceId: string, agentId: string) => Promise<void>;
}

/** Agents and their routes. */
export const agentsPlugin = fastifyPlugin(
  async (app, { clock, ceilings, observe, promote, removeWith }: AgentsPluginOptions) => {
    const { storage, audit, admission, policy, runtimes, isolation, manifests, workspaceSettings, log } = app;
    const runnable = createRunnable({ isolation, ceilings, storage, settings: workspaceSettings });
    const service = createAgentService({
      storage,
      audit,
      policy,
      runtimes,
      manifests,
      workspaces: workspaceSettings,
      removeWith,
    });
    const lists = createAgentLists({ storage });
    const brakes = createAgentBrakes({ audit, runtimes });
    const start = createStartAgent({ audit, admission, runtimes, runnable, observe, log });
    const batch = createRunBatch({
      log,
      actions: {
        start: (workspaceId, agentId, caller, claim) => start(workspaceId, agentId, {}, caller, claim),
        stop: (workspaceId, agentId, caller, claim) => brakes.stop(workspaceId, agentId, {}, caller, claim),
        promote,
        delete: async (workspaceId, agentId, caller, claim) => {
          const removed = { success: true };
          await service.remove(workspaceId, agentId, caller, { claim: claimAs(claim, () => removed) });
          return removed;
        },
      },
    });
    const expireDue = createExpireDue({ storage, brakes, clock, log });
    app.decorate('agents', {
      create: service.create,
      start,
      stop: brakes.stop,
      runnable,
      stopRunning: createStopRunning(runtimes),
      stopAgents: createStopAgents(runtimes),
      scale: createScaleAgent({ audit, admission, runtimes, observe, log }),
      workspaceOf: async (agentId) =>
        isUuid(agentId) ? storage.system((trx) => findWorkspaceOf(trx, agentId)) : undefined,
      expireDue: (signal) => expireAll(expireDue, signal),
      view: async (trx, workspaceId, agentId) => agentView(found(await findAgent(trx, workspaceId, agentId))),
    });
    await app.register(agentRoutes, { service, lists });
    // A denial of the whole request is in the audit; one agent's among its outcomes would not be.
    const guarded: typeof batch = async (workspaceId, request, ...rest) => {
      if (request.action === 'delete') {
        await storage.read(workspaceId, (trx) => workspaceSettings.requireActive(trx, workspaceId));
      }
      return batch(workspaceId, request, ...rest);
    };
    await app.register(runRoutes, { start, brakes, lists, batch: guarded, admission });
  },
  {
    name: 'agents',
    fastify: '5.x',
    dependencies: ['storage', 'audit', 'policy', 'admission', 'runtime', 'workspace-settings'],
  },
);
