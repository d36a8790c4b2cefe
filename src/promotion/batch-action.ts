import type { Caller } from '../agents/caller.ts';
import type { AgentView, BatchOutcome } from '../agents/schema.ts';
import type { Claim } from '../audit/append.ts';
import { claimAs } from '../idempotency/keyed-request.ts';
import { PromotionRefused } from './errors.ts';
import type { Promote, PromotionOutcome } from './promote.ts';

type Outcome = Omit<BatchOutcome, 'agentId'>;

/** What an outcome shows of an agent: reading the whole of it costs as much as the rest of its unit. */
type BatchView = Pick<AgentView, 'status'>;

/**
 * Promotes one agent of a batch, or asks for approvals: every decision is an outcome, with its evidence; what else is thrown
 * is passed on.
 */
export function createBatchPromotion(promote: Promote<BatchView>) {
  return async (workspaceId: string, agentId: string, caller: Caller, claim?: Claim<Outcome>): Promise<Outcome> => {
    try {
      return outcomeOf(await promote(workspaceId, agentId, {}, caller, claimAs(claim, outcomeOf)));
    } catch (error) {
      if (!(error instanceof PromotionRefused)) throw error;
      return outcomeOf(error);
    }
  };
}

function outcomeOf(result: PromotionOutcome<BatchView>): Outcome {
  const { promotionId, decisionId } = result;
  if (result instanceof PromotionRefused) {
    const { denies, code, message } = result;
    return { success: false, promotionId, decisionId, denies: [...denies], code, detail: message };
  }
  if ('state' in result) return { success: true, promotionId, decisionId, state: result.state };
  if (result.success) return { success: true, promotionId, decisionId, status: result.governedAgent.status };
  const [first] = result.denies;
  return { ...result, ...(first === undefined ? {} : { code: first.code, detail: first.reason }) };
}
