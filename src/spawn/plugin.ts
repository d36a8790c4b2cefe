import fastifyPlugin from 'fastify-plugin';

import { agentManagerRoutes } from './agent-routes.ts';
import { createSpawn } from './spawn.ts';
import { templateRoutes } from './template-routes.ts';

/** The routes of an agent manager: the same use cases as under /v1, as its callers send them. */
export const spawnPlugin = fastifyPlugin(
  async (app) => {
    const { agents, templates, manifests } = app;
    await app.register(agentManagerRoutes, { agents, spawn: createSpawn({ templates, create: agents.create }) });
    await app.register(templateRoutes, { templates, manifests });
  },
  { name: 'spawn', fastify: '5.x', dependencies: ['agents', 'templates', 'manifests'] },
);
