import fastifyPlugin from 'fastify-plugin';

import type { Clock } from '../clock.ts';
import type { Elevations } from '../identity/elevation.ts';
import { createActiveElevations } from './active.ts';
import { createListElevations } from './list.ts';
import { breakGlassRoutes } from './routes.ts';
import { createBreakGlass } from './service.ts';

declare module 'fastify' {
  interface FastifyInstance {
    readonly breakGlass: Elevations & {
      /** One round of the job. */
      refresh(): Promise<void>;
      /** Elevations in force here. */
      count(): number;
    };
  }
}

export interface BreakGlassPluginOptions {
  readonly clock: Clock;
  readonly maxMinutes: number;
  readonly observe: { granted(): void; used(): void };
}

/** Elevations: the routes, and `app.breakGlass`, which identity asks. */
export const breakGlassPlugin = fastifyPlugin(
  async (app, { clock, maxMinutes, observe }: BreakGlassPluginOptions) => {
    const { storage, audit } = app;
    const active = createActiveElevations(storage);
    const breakGlass = createBreakGlass({ storage, audit, clock, active, maxMinutes, observe });
    app.decorate('breakGlass', {
      refresh: breakGlass.refresh,
      count: () => active.count(clock()),
      async use({ id, kind }, workspaceId, { route, permission, traceId }) {
        const one = active.find(id, workspaceId, clock());
        return one !== undefined && breakGlass.use(one, { actor: { id, kind }, route, permission, traceId });
      },
    });
    const list = createListElevations({ storage, clock });
    await app.register(breakGlassRoutes, { breakGlass, list });
  },
  { name: 'break-glass', fastify: '5.x', dependencies: ['storage', 'audit', 'identity'] },
);
