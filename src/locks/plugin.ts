import fastifyPlugin from 'fastify-plugin';

import type { Clock } from '../clock.ts';
import type { KnownLocks } from './known.ts';
import { lockRoutes } from './routes.ts';
import { createLocks } from './service.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** The locks in force, and how they are read again. */
    readonly knownLocks: KnownLocks;
  }
}

export interface LocksPluginOptions {
  readonly clock: Clock;
  readonly known: KnownLocks;
}

/** Access locks: the routes, and `app.knownLocks`. */
export const locksPlugin = fastifyPlugin(
  async (app, { clock, known }: LocksPluginOptions) => {
    const { storage, audit, log } = app;
    app.decorate('knownLocks', known);
    const changed = async () => {
      await known.refresh().catch((err: unknown) => {
        log.warn({ err }, 'the locks were not read again at once; the next look does it');
      });
    };
    await app.register(lockRoutes, { locks: createLocks({ storage, audit, clock, changed }) });
  },
  { name: 'locks', fastify: '5.x', dependencies: ['storage', 'audit', 'identity'] },
);
