import fastifyPlugin from 'fastify-plugin';

import type { BatchActions } from '../agents/batch.ts';
import type { AgentView } from '../agents/schema.ts';
import type { Clock } from '../clock.ts';
import { sharedKey } from '../proofs/shared-key.ts';
import type { Trx } from '../storage/database.ts';
import { createBatchPromotion } from './batch-action.ts';
import { createDecisions } from './decide.ts';
import { promotionDecisionRoutes } from './decision-routes.ts';
import type { ProofIssuer } from './issue.ts';
import { lapseDue } from './lapse.ts';
import { createPromotionLists } from './lists.ts';
import { createPromote } from './promote.ts';
import { createRecheck, type Recheck } from './recheck.ts';
import { createRelease, type ProofRenewal } from './release.ts';
import { promotionRoutes } from './routes.ts';
import type { PromotionSettings } from './standing.ts';
import { createVerifyProof } from './verify-proof.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** What other slices ask of promotion. */
    readonly promotion: {
      /** The second look that a revalidation and a release share. */
      readonly recheck: Recheck;
      readonly batchAction: BatchActions['promote'];
      /** One round of ending promotions that nobody decided in time; for the job. */
      lapseDue(signal: AbortSignal): Promise<void>;
    };
  }
}

export interface PromotionPluginOptions {
  readonly clock: Clock;
  readonly issuer: Omit<ProofIssuer, 'clock'>;
  readonly renewal: ProofRenewal;
  readonly settings: PromotionSettings;
  readonly viewAgent: (trx: Trx, workspaceId: string, agentId: string) => Promise<AgentView>;
  readonly observe: { attempted(): void; denied(code: string): void };
}

/** Promotion, release and proofs, with their routes. */
export const promotionPlugin = fastifyPlugin(
  async (app, { clock, issuer, renewal, settings, viewAgent, observe }: PromotionPluginOptions) => {
    const { storage, audit, admission, policy, runtimes, signers, log } = app;
    const { requireProofSigner } = signers;
    const recheck = createRecheck(admission);
    const shared = { ...issuer, key: sharedKey(issuer.key), clock, issued: admission.remember };
    const parts = { storage, audit, admission, runtimes, settings, issuer: shared, requireProofSigner, observe, log };
    const promote = createPromote({ ...parts, viewAgent });
    const promoteInBatch = createPromote({
      ...parts,
      viewAgent: async (_trx, _workspaceId, _id, status) => ({ status }),
    });
    const decisions = createDecisions({ ...parts, clock, viewAgent });
    const release = createRelease({
      storage,
      audit,
      admission,
      policy,
      settings,
      recheck,
      renewal,
      requireProofSigner,
      log,
    });
    const verifyProof = createVerifyProof({ storage, head: policy.head, findSigner: signers.find, clock });
    app.decorate('promotion', {
      recheck,
      batchAction: createBatchPromotion(promoteInBatch),
      lapseDue: (signal: AbortSignal) => lapseDue({ storage, audit, clock }, signal),
    });
    await app.register(promotionRoutes, { promote, release, lists: createPromotionLists({ storage }), verifyProof });
    await app.register(promotionDecisionRoutes, { decisions });
  },
  {
    name: 'promotion',
    fastify: '5.x',
    dependencies: ['storage', 'audit', 'policy', 'admission', 'runtime', 'signers'],
  },
);
