import type { Caller } from '../agents/caller.ts';
import type { BatchOutcome } from '../agents/schema.ts';
import { PromotionRefused } from './errors.ts';
import type { Promote } from './promote.ts';

/** Promotes one agent of a batch: every decision is an outcome, with its evidence; what else is thrown is passed on. */
export function createBatchPromotion(promote: Promote) {
  return async (workspaceId: string, agentId: string, caller: Caller): Promise<Omit<BatchOutcome, 'agentId'>> => {
    try {
      const result = await promote(workspaceId, agentId, {}, caller);
      const { promotionId, decisionId } = result;
      if (result.success) return { success: true, promotionId, decisionId, status: result.governedAgent.status };
      const [first] = result.denies;
      return { ...result, ...(first === undefined ? {} : { code: first.code, detail: first.reason }) };
    } catch (error) {
      if (!(error instanceof PromotionRefused)) throw error;
      const { promotionId, decisionId, denies, code, message } = error;
      return { success: false, promotionId, decisionId, denies: [...denies], code, detail: message };
    }
  };
}
