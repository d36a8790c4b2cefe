import fastifyPlugin from 'fastify-plugin';

import { createErase } from './erasures.ts';
import { createHolds } from './holds.ts';
import { peopleRoutes } from './people-routes.ts';
import { retentionRoutes } from './routes.ts';

/** What goes of an audit log, and what must stay: erasures and legal holds; and who is behind an id. */
export const retentionPlugin = fastifyPlugin(
  async (app) => {
    const { storage, audit } = app;
    await app.register(retentionRoutes, { erase: createErase({ audit }), holds: createHolds({ storage, audit }) });
    await app.register(peopleRoutes);
  },
  { name: 'retention', fastify: '5.x', dependencies: ['storage', 'audit'] },
);
