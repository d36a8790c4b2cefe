import fastifyPlugin from 'fastify-plugin';

import type {} from '../admission/plugin.ts';
import type {} from '../audit/plugin.ts';
import { newId } from '../ids.ts';
import type {} from '../policy/plugin.ts';
import type { ProofIssuer } from '../promotion/issue.ts';
import type { ProofRenewal } from '../promotion/release.ts';
import type { PromotionSettings } from '../promotion/standing.ts';
import { sharedKey } from '../proofs/shared-key.ts';
import type {} from '../signers/plugin.ts';
import { needsRenewal, renewProof } from './renew.ts';
import { renewMany } from './renew-many.ts';
import { renewProofs } from './renewal.ts';
import { revalidationRoutes } from './routes.ts';
import { createRevalidationService, type RevalidationOptions, type RevalidationService } from './service.ts';
import { revalidateDistrusted } from './signer-revocation.ts';

declare module 'fastify' {
  interface FastifyInstance {
    revalidation: RevalidationService & {
      /** One round of renewing proofs at two thirds of their life; for the job. */
      renewDue(signal: AbortSignal): Promise<void>;
      /** One round of revalidating agents whose proof is by a signer without trust; for the job. */
      distrusted(signal: AbortSignal): Promise<void>;
      /** The same at once, beside what else is going on. */
      kickDistrusted(): void;
      /** How a proof takes the place of an earlier one; a release does the same. */
      readonly renewal: ProofRenewal;
    };
  }
}

export interface RevalidationPluginOptions
  extends Pick<RevalidationOptions, 'fingerprints' | 'recheck' | 'observe' | 'clock'> {
  readonly loadMany: (
    ...args: [...Parameters<RevalidationOptions['loadMany']>, actor: typeof ACTOR]
  ) => ReturnType<RevalidationOptions['loadMany']>;
  readonly settings: PromotionSettings;
  readonly issuer: Omit<ProofIssuer, 'clock'>;
}

/** The jobs and requests read agents in Castellan's own name. */
const ACTOR = { id: 'castellan', kind: 'system', roles: [] };

/** The second look at governed agents: `app.revalidation`, its routes, and its end with the process. */
export const revalidationPlugin = fastifyPlugin(
  async (app, options: RevalidationPluginOptions) => {
    const { storage, audit, signers } = app;
    const { clock, fingerprints, recheck, observe } = options;
    const head = app.policy.head;
    const issuer = { ...options.issuer, key: sharedKey(options.issuer.key), clock, issued: app.admission.remember };
    const renewal: ProofRenewal = {
      needed: needsRenewal,
      renew: (subject, statement, active, signal) => renewProof(issuer, subject, statement, active, signal),
    };
    const service = createRevalidationService({
      storage,
      audit,
      head,
      bumpRevision: app.policy.bumpRevision,
      loadMany: (trx, workspaceId, ids) => options.loadMany(trx, workspaceId, ids, ACTOR),
      fingerprints,
      reapproves: async (trx, workspaceId) => (await options.settings(trx, workspaceId)).reapproveOnPolicyChange,
      recheck,
      requireSigner: signers.requireProofSigner,
      observe,
      clock,
      needsRenewal: renewal.needed,
      renew: (due, active, signal) => renewMany(issuer, due, active, signal),
      workerId: newId(),
      failed: (error) => app.log.error({ err: error }, 'a revalidation could not go on'),
    });
    const due = { storage, audit, revalidation: service, head, clock, ttlMs: issuer.ttlMs };
    const distrusted = (signal: AbortSignal) => revalidateDistrusted(due, signal);
    const closing = new AbortController();
    let kicked = Promise.resolve();
    app.decorate('revalidation', {
      ...service,
      renewDue: (signal: AbortSignal) => renewProofs(due, signal),
      distrusted,
      kickDistrusted: () => {
        kicked = kicked
          .then(() => distrusted(closing.signal))
          .catch((err: unknown) => app.log.warn({ err }, 'agents of a signer without trust are left to the job'));
      },
      renewal,
    });
    app.addHook('onClose', async () => {
      closing.abort();
      await service.close();
      await kicked;
    });
    await app.register(revalidationRoutes, { revalidation: service });
  },
  {
    name: 'revalidation',
    fastify: '5.x',
    dependencies: ['storage', 'signers', 'audit', 'policy', 'admission'],
  },
);
