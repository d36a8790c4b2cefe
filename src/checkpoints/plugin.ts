import { setTimeout as delay } from 'node:timers/promises';
import fastifyPlugin from 'fastify-plugin';

import type { Clock } from '../clock.ts';
import type { CheckpointSettings } from '../config/checkpoints.ts';
import type { Failpoints } from '../failpoints.ts';
import { createCheckpointProofs } from './proofs.ts';
import { checkpointRoutes } from './routes.ts';
import { type Checkpoints, createCheckpoints } from './service.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** Undefined where this process makes no checkpoints. */
    readonly checkpoints: Checkpoints | undefined;
  }
}

export interface CheckpointsPluginOptions {
  readonly clock: Clock;
  readonly random: () => number;
  readonly settings: Pick<CheckpointSettings, 'origin' | 'sinks'> | undefined;
  readonly failpoints?: Failpoints | undefined;
}

/** `app.checkpoints`, and the routes by which anyone who may read the audit can prove what a checkpoint says. */
export const checkpointsPlugin = fastifyPlugin(
  async (app, { clock, random, settings, failpoints }: CheckpointsPluginOptions) => {
    const { storage, signers, log, metrics } = app;
    let shown = '';
    const checkpoints =
      settings &&
      createCheckpoints({
        storage,
        clock,
        signers,
        ...settings,
        random,
        wait: (ms, signal) => delay(ms, undefined, { ref: false, signal }).catch(() => undefined),
        failpoints,
        observe: {
          ...metrics.checkpoints,
          signerFailed: metrics.audit.signerFailed,
          damaged: (chains) => {
            metrics.checkpoints.damaged(chains.length);
            const named = chains.slice(0, 20).join(' ');
            if (named !== '' && named !== shown)
              log.error({ chains: named }, 'chains whose rows were changed have no new checkpoint');
            shown = named;
          },
          failed: (sink, err) => {
            metrics.checkpoints.failed(sink);
            log.warn({ err, sink }, 'a checkpoint was not handed on');
          },
        },
      });
    app.decorate('checkpoints', checkpoints);
    app.addHook('onClose', async () => checkpoints?.close());
    await app.register(checkpointRoutes, { proofs: createCheckpointProofs(storage) });
  },
  { name: 'checkpoints', fastify: '5.x', dependencies: ['storage', 'metrics', 'signers'] },
);
