import fastifyPlugin from 'fastify-plugin';

import { workspaceRoutes } from './routes.ts';
import { createWorkspaceService, type WorkspaceService } from './service.ts';

declare module 'fastify' {
  interface FastifyInstance {
    workspaces: WorkspaceService;
  }
}

/** The tenants and their routes. */
export const workspacesPlugin = fastifyPlugin(
  async (app) => {
    const service = createWorkspaceService({ storage: app.storage, audit: app.audit, policy: app.policy });
    app.decorate('workspaces', service);
    await app.register(workspaceRoutes, { service });
  },
  { name: 'workspaces', fastify: '5.x', dependencies: ['storage', 'audit', 'policy'] },
);
