import fastifyPlugin from 'fastify-plugin';

import type { Clock } from '../clock.ts';
import type { ManifestConfig } from '../config/identity.ts';
import { SYSTEM_CHAIN } from '../ids.ts';
import { createAskKernel } from './kernel-api.ts';
import { createKernelSigners } from './kernel-signers.ts';
import type { Manifests } from './manifests.ts';
import { createManifests } from './service.ts';
import { createManifestTrust } from './trust.ts';

declare module 'fastify' {
  interface FastifyInstance {
    readonly manifests: Manifests;
  }
  interface FastifyContextConfig {
    /** Says that the body may have a manifest, as its member `manifest`. */
    manifest?: boolean;
  }
}

/** What every route that takes a manifest may write. */
export const MANIFEST_EVENTS = ['manifest.accepted', 'manifest.rejected'] as const;

export interface ManifestsPluginOptions {
  readonly clock: Clock;
  readonly config: ManifestConfig;
}

/** The Kernel's manifests as `app.manifests`; the routes that take them belong to other slices. */
export const manifestsPlugin = fastifyPlugin(
  async (app, { clock, config }: ManifestsPluginOptions) => {
    const { storage, signers, audit } = app;
    const { audience, kernel } = config;
    const trust = createManifestTrust({
      standing: signers.standing,
      read: (work) => storage.read(SYSTEM_CHAIN, work),
      kernel:
        kernel &&
        createKernelSigners({ ask: createAskKernel(kernel), cacheMs: kernel.cacheMs, now: () => performance.now() }),
    });
    app.decorate('manifests', createManifests({ audit, trust, clock, audience }));
  },
  { name: 'manifests', fastify: '5.x', dependencies: ['storage', 'signers', 'audit'] },
);
