import fastifyPlugin from 'fastify-plugin';

import type { BatchActions } from '../agents/batch.ts';
import type { AgentView } from '../agents/schema.ts';
import type { Clock } from '../clock.ts';
import { sharedKey } from '../proofs/shared-key.ts';
import type { Trx } from '../storage/database.ts';
import { createBatchPromotion } from './batch-action.ts';
import type { ProofIssuer } from './issue.ts';
import { createPromotionLists } from './lists.ts';
import { createPromote } from './promote.ts';
import { createRecheck, type Recheck } from './recheck.ts';
import { createRelease, type ProofRenewal } from './release.ts';
import { promotionRoutes } from './routes.ts';
import { createVerifyProof } from './verify-proof.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** What other slices ask of promotion. */
    readonly promotion: {
      /** The second look that a revalidation and a release share. */
      readonly recheck: Recheck;
      readonly batchAction: BatchActions['promote'];
    };
  }
}

export interface PromotionPluginOptions {
  readonly clock: Clock;
  readonly issuer: Omit<ProofIssuer, 'clock'>;
  readonly renewal: ProofRenewal;
  readonly viewAgent: (trx: Trx, workspaceId: string, agentId: string) => Promise<AgentView>;
  readonly observe: { attempted(): void; denied(code: string): void };
}

/** Promotion, release and proofs, with their routes. */
export const promotionPlugin = fastifyPlugin(
  async (app, { clock, issuer, renewal, viewAgent, observe }: PromotionPluginOptions) => {
    const { storage, audit, admission, policy, runtimes, signers, log } = app;
    const { requireProofSigner } = signers;
    const recheck = createRecheck(admission);
    const shared = { ...issuer, key: sharedKey(issuer.key), clock, issued: admission.remember };
    const parts = { audit, admission, runtimes, issuer: shared, requireProofSigner, observe, log };
    const promote = createPromote({ ...parts, viewAgent });
    const promoteInBatch = createPromote({
      ...parts,
      viewAgent: async (_trx, _workspaceId, _id, status) => ({ status }),
    });
    const release = createRelease({ storage, audit, admission, policy, recheck, renewal, requireProofSigner, log });
    const verifyProof = createVerifyProof({ storage, head: policy.head, findSigner: signers.find, clock });
    app.decorate('promotion', { recheck, batchAction: createBatchPromotion(promoteInBatch) });
    await app.register(promotionRoutes, { promote, release, lists: createPromotionLists({ storage }), verifyProof });
  },
  {
    name: 'promotion',
    fastify: '5.x',
    dependencies: ['storage', 'audit', 'policy', 'admission', 'runtime', 'signers'],
  },
);
