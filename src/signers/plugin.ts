import fastifyPlugin from 'fastify-plugin';

import type { Clock } from '../clock.ts';
import { createSigners, type Signers } from './signers.ts';
import type { KeyedSigner } from './verified-signer.ts';

declare module 'fastify' {
  interface FastifyInstance {
    readonly signers: Signers;
  }
}

export interface SignersPluginOptions {
  readonly clock: Clock;
  readonly auditDriver: KeyedSigner;
  readonly proofDriver: KeyedSigner;
  /** Without one no checkpoints are made here. */
  readonly checkpointDriver?: KeyedSigner | undefined;
}

/** The keys of this process as `app.signers`. The audit is above this slice, so the routes are a plugin of their own. */
export const signersPlugin = fastifyPlugin(
  async (app, options: SignersPluginOptions) => {
    const signers = createSigners({ storage: app.storage, ...options });
    app.decorate('signers', signers);
    app.addHook('onClose', async () => signers.close());
  },
  { name: 'signers', fastify: '5.x', dependencies: ['storage'] },
);
