import fastifyPlugin from 'fastify-plugin';

import { createEnforcement } from './enforce.ts';
import { killSwitchRoutes } from './routes.ts';
import { createKillSwitches } from './service.ts';

declare module 'fastify' {
  interface FastifyInstance {
    readonly killSwitches: {
      /** One round of stopping what runs against an engaged switch; for the job. */
      enforce(signal: AbortSignal): Promise<void>;
    };
  }
}

/** Switches that keep agents from starting; admission reads them, and the routes and the job stop what runs. */
export const killSwitchPlugin = fastifyPlugin(
  async (app) => {
    const { storage, audit, agents, log } = app;
    const { stopAgents, view: requireAgent } = agents;
    const enforcement = createEnforcement({ storage, audit, stopAgents, now: () => performance.now() });
    const failed = (err: unknown) => log.warn({ err }, 'a kill switch is engaged, and what runs is left to the job');
    app.decorate('killSwitches', { enforce: enforcement.round });
    await app.register(killSwitchRoutes, {
      switches: createKillSwitches({ storage, audit, enforcement, requireAgent, failed }),
    });
  },
  { name: 'kill-switch', fastify: '5.x', dependencies: ['storage', 'audit', 'agents'] },
);
