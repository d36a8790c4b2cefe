import fastifyPlugin from 'fastify-plugin';

import { type ActivationOptions, createActivationService } from './activation.ts';
import type { PolicyEngine } from './evaluator/engine.ts';
import type { CompiledPolicy, NewPolicy, PolicyBundle } from './head-change.ts';
import { createPolicyLoader, type FindAuditKey } from './loader.ts';
import type { RevalidationPort } from './revalidation-port.ts';
import { policyRoutes } from './routes.ts';
import { createPolicyService, type PolicyService } from './service.ts';
import { createSnapshotReader, type FindRevocations } from './snapshot.ts';

/** Ms a reload waits for the revalidation that it starts (contract §7). */
const WAIT_MS = 5000;

declare module 'fastify' {
  interface FastifyInstance {
    policy: PolicyService;
  }
}

export interface PolicyPluginOptions {
  readonly engine: PolicyEngine;
  /** A bundle of a request in canonical form. Rejects with PolicyInvalid. */
  readonly parse: (policySet: string, bundle: unknown) => Promise<PolicyBundle>;
  /** Rejects with PolicyInvalid or PolicyCompilerUnavailable. */
  readonly compile: (bundle: PolicyBundle) => Promise<CompiledPolicy>;
  /** The policy that new workspaces start with, compiled when the release was made. */
  readonly shipped: NewPolicy;
  readonly findAuditKey: FindAuditKey;
  readonly findRevocations: FindRevocations;
  /** Asked at the first request: the slice is above this one and registered later. */
  readonly revalidation: () => RevalidationPort;
  readonly observe: ActivationOptions['observe'] & { decided(seconds: number): void };
}

/** What each workspace is governed by: `app.policy`, and the routes that show and change it. */
export const policyPlugin = fastifyPlugin(
  async (app, options: PolicyPluginOptions) => {
    const { storage, audit } = app;
    const { engine, findAuditKey, findRevocations, revalidation, observe } = options;
    const loader = createPolicyLoader({ storage, engine, findAuditKey });
    app.decorate('policy', createPolicyService({ engine, loader, shipped: options.shipped, observe }));
    const activation = createActivationService({
      storage,
      audit,
      loader,
      parse: options.parse,
      compile: options.compile,
      tryLoad: (hash, { wasm }) => engine.load(hash, wasm),
      revalidation: {
        begin: (scope, request) => revalidation().begin(scope, request),
        follow: (workspaceId, id, waitMs) => revalidation().follow(workspaceId, id, waitMs),
      },
      observe,
      waitMs: WAIT_MS,
    });
    app.addHook('onClose', () => engine.close());
    const snapshots = createSnapshotReader({ storage, findRevocations });
    await app.register(policyRoutes, { activation, snapshots });
  },
  { name: 'policy', fastify: '5.x', dependencies: ['storage', 'audit'] },
);
