import fastifyPlugin from 'fastify-plugin';

import type { Clock } from '../clock.ts';
import { claimAs } from '../idempotency/keyed-request.ts';
import type { Trx } from '../storage/database.ts';
import { type BatchActions, createRunBatch } from './batch.ts';
import { createExpireDue, expireAll } from './expiry.ts';
import { createAgentLists } from './lists.ts';
import { found } from './lookup.ts';
import { agentView } from './representation.ts';
import { agentRoutes } from './routes.ts';
import { runRoutes } from './run-routes.ts';
import type { AgentView } from './schema.ts';
import { createAgentService } from './service.ts';
import { createStartAgent, type StartAgent, type StartObserver } from './start.ts';
import { createAgentBrakes } from './stop.ts';
import { findAgent } from './store.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** What other slices and jobs ask of agents. */
    readonly agents: {
      readonly start: StartAgent;
      expireDue(signal: AbortSignal): Promise<void>;
      /** The agent as the API shows it, in the caller's transaction. Throws NotFound. */
      view(trx: Trx, workspaceId: string, agentId: string): Promise<AgentView>;
    };
  }
}

export interface AgentsPluginOptions {
  readonly clock: Clock;
  readonly observe: StartObserver;
  /** Promotes one agent of a batch; looked up when it is called, for promotion is registered later. */
  readonly promote: BatchActions['promote'];
}

/** Agents and their routes. */
export const agentsPlugin = fastifyPlugin(
  async (app, { clock, observe, promote }: AgentsPluginOptions) => {
    const { storage, audit, admission, policy, runtimes, log } = app;
    const service = createAgentService({ storage, audit, policy, runtimes });
    const lists = createAgentLists({ storage });
    const brakes = createAgentBrakes({ audit, runtimes });
    const start = createStartAgent({ audit, admission, runtimes, observe, log });
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
      start,
      expireDue: (signal) => expireAll(expireDue, signal),
      view: async (trx, workspaceId, agentId) => agentView(found(await findAgent(trx, workspaceId, agentId))),
    });
    await app.register(agentRoutes, { service, lists });
    await app.register(runRoutes, { start, brakes, lists, batch, admission });
  },
  { name: 'agents', fastify: '5.x', dependencies: ['storage', 'audit', 'policy', 'admission', 'runtime'] },
);
