import type { Server } from 'node:https';
import fastifyPlugin from 'fastify-plugin';

import { isTls } from '../http/drain.ts';
import type { Authenticate } from '../identity/authenticate.ts';
import type { Standing } from '../identity/standing.ts';
import { createLiveConnections, type Ended } from './live-connections.ts';
import { createTrustRecorder } from './recorder.ts';
import type { Ending } from './watched.ts';
import type { Round, Switched, Watcher } from './watcher.ts';

/** Ms after which a request is a stream or a long wait, whose caller may end before it does. */
const LONG_REQUEST_MS = 2_000;

declare module 'fastify' {
  interface FastifyInstance {
    readonly trust: Trust;
  }
}

export interface Trust {
  /** One look at the files: what changed is in force, and who does not count any more is gone, when it resolves. */
  look(): Promise<void>;
  /** Judges every connection and every request under way anew: for those who learn without a file that somebody counts no more. */
  recheck(): Promise<Ended>;
  /** Knows the connections of a further listener. */
  watch(server: Server): void;
  /** Writes what the start has put in force where it differs from what was written last. */
  recordStart(): Promise<void>;
  /** What ends by itself. */
  endings(): readonly Ending[];
}

export interface TrustObserver {
  reloaded(source: string, outcome: 'applied' | 'refused'): void;
  connectionsEnded(reason: string, count: number): void;
}

export interface TrustPluginOptions {
  readonly watcher: Watcher;
  /** What the first load has put in force. */
  readonly started: readonly Switched[];
  readonly authenticate: Authenticate;
  readonly standing: Standing;
  readonly observe: TrustObserver;
}

/** Keeps what is trusted as the files have it, and connections as what is trusted has them: `app.trust`. */
export const trustPlugin = fastifyPlugin(
  async (app, options: TrustPluginOptions) => {
    const { watcher, authenticate, standing, observe } = options;
    const live = createLiveConnections({ authenticate, standing, now: () => performance.now() });
    const recorder = createTrustRecorder({
      audit: app.audit,
      dropped: (events) => app.log.error({ events }, 'changes of what is trusted are not in the audit'),
    });
    let looking: Promise<void> | undefined;

    async function judge(olderThanMs: number): Promise<Ended> {
      const ended = await live.judge(olderThanMs);
      for (const [reason, connections] of ended) {
        observe.connectionsEnded(reason, connections);
        app.log.info({ reason, connections }, 'connections ended');
      }
      return ended;
    }

    async function look(): Promise<void> {
      const round = await watcher.look();
      // Between changes too: certificates and tokens end while a stream goes on.
      const ended = await judge(round.switched.length > 0 ? 0 : LONG_REQUEST_MS);
      report(round, ended);
      // Not waited for: the next look must not come later because the database is slow.
      void flush();
    }

    function flush(): Promise<void> {
      return recorder.flush().catch((err: unknown) => {
        app.log.warn({ err }, 'a change of what is trusted waits to be written');
      });
    }

    function report({ switched, refused }: Round, ended: Ended): void {
      for (const { source, loaded } of switched) {
        const closed = loaded.ends.reduce((sum, reason) => sum + (ended.get(reason) ?? 0), 0);
        recorder.applied(loaded.events(closed));
        observe.reloaded(source, 'applied');
        app.log.info({ source, closed }, 'what is trusted has changed');
      }
      for (const refusal of refused) {
        recorder.refused(refusal);
        observe.reloaded(refusal.source, 'refused');
        app.log.error({ ...refusal }, 'a changed file cannot be used; what was in force stays');
      }
    }

    if (isTls(app.server)) live.watch(app.server);
    // After the identity plugin's: who was refused is not under way.
    app.addHook('onRequest', (request, reply, done) => {
      live.began(request);
      reply.raw.once('close', () => live.ended(request));
      done();
    });
    app.addHook('onClose', flush);

    app.decorate('trust', {
      look: () => {
        looking ??= look().finally(() => {
          looking = undefined;
        });
        return looking;
      },
      recheck: () => judge(0),
      watch: live.watch,
      recordStart: async () => {
        for (const { loaded } of options.started) recorder.applied(loaded.events(0), true);
        await flush();
      },
      endings: watcher.endings,
    });
  },
  { name: 'trust', fastify: '5.x', dependencies: ['audit', 'identity'] },
);
