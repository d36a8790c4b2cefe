import fastifyPlugin from 'fastify-plugin';

import { workspaceRoutes } from './routes.ts';
import { createWorkspaceService, type WorkspaceService } from './service.ts';
import { stateRoutes } from './state-routes.ts';
import { createSuspension, type Suspension } from './suspension.ts';

declare module 'fastify' {
  interface FastifyInstance {
    workspaces: WorkspaceService & Pick<Suspension, 'finish'>;
  }
}

/** The tenants and their routes. */
export const workspacesPlugin = fastifyPlugin(
  async (app) => {
    const { storage, audit, policy, agents } = app;
    const service = createWorkspaceService({ storage, audit, policy });
    const suspension = createSuspension({
      storage,
      audit,
      stopRunning: agents.stopRunning,
      now: () => performance.now(),
    });
    const workspaces = { ...service, finish: suspension.finish };
    app.decorate('workspaces', workspaces);
    await app.register(workspaceRoutes, { service: workspaces });
    await app.register(stateRoutes, { suspension });
  },
  { name: 'workspaces', fastify: '5.x', dependencies: ['storage', 'audit', 'policy', 'agents'] },
);
