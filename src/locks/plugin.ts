import fastifyPlugin from 'fastify-plugin';

import type { Clock } from '../clock.ts';
import type { KnownLocks } from './known.ts';
import { lockRoutes } from './routes.ts';
import { createLocks } from './service.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** Reads the locks when they have changed, and has every connection judged again by them. */
    readonly refreshLocks: () => Promise<void>;
  }
}

export interface LocksPluginOptions {
  readonly clock: Clock;
  readonly known: KnownLocks;
  /** Judges every connection again. */
  readonly recheck: () => Promise<unknown>;
}

/** Access locks: the routes, and `app.refreshLocks`. */
export const locksPlugin = fastifyPlugin(
  async (app, { clock, known, recheck }: LocksPluginOptions) => {
    const { storage, audit, log } = app;
    let isRecheckDue = false;
    const refresh = async () => {
      if (await known.refresh()) isRecheckDue = true;
      if (!isRecheckDue) return;
      isRecheckDue = false;
      await recheck().catch((error: unknown) => {
        isRecheckDue = true;
        throw error;
      });
    };
    app.decorate('refreshLocks', refresh);
    const changed = async () => {
      await refresh().catch((err: unknown) => {
        log.warn({ err }, 'the locks were not read again at once; the next look does it');
      });
    };
    await app.register(lockRoutes, { locks: createLocks({ storage, audit, clock, changed }) });
  },
  { name: 'locks', fastify: '5.x', dependencies: ['storage', 'audit', 'identity'] },
);
