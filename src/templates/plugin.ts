import fastifyPlugin from 'fastify-plugin';

import { createTemplateService, type TemplateService } from './service.ts';

declare module 'fastify' {
  interface FastifyInstance {
    readonly templates: TemplateService;
  }
}

/** What agents can be spawned from; the routes are those of the slice spawn. */
export const templatesPlugin = fastifyPlugin(
  async (app) => {
    const { storage, audit, manifests, workspaceSettings } = app;
    const { requireActive } = workspaceSettings;
    app.decorate('templates', createTemplateService({ storage, audit, manifests, requireActive }));
  },
  { name: 'templates', fastify: '5.x', dependencies: ['storage', 'audit', 'manifests', 'workspace-settings'] },
);
