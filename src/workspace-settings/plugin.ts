import fastifyPlugin from 'fastify-plugin';

import { createWorkspaceCeilings, type WorkspaceCeilings } from './ceilings.ts';
import { workspaceSettingsRoutes } from './routes.ts';
import { createWorkspaceSettings, type WorkspaceSettingsService } from './service.ts';

declare module 'fastify' {
  interface FastifyInstance {
    readonly workspaceSettings: WorkspaceSettingsService & {
      readonly ceilings: WorkspaceCeilings;
    };
  }
}

/** What each workspace has set for itself, and its routes. */
export const workspaceSettingsPlugin = fastifyPlugin(
  async (app) => {
    const service = createWorkspaceSettings({ storage: app.storage, audit: app.audit });
    app.decorate('workspaceSettings', { ...service, ceilings: createWorkspaceCeilings(app.storage) });
    await app.register(workspaceSettingsRoutes, { service });
  },
  { name: 'workspace-settings', fastify: '5.x', dependencies: ['storage', 'audit'] },
);
