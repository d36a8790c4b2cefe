import { ApprovalConflict, OwnRequest } from './errors.ts';
import type { LapseCause, PromotionState } from './table.ts';

/** Ms a promotion waits for approvals; longer than any weekend, shorter than anybody's memory of what was asked. */
export const PENDING_MS = 7 * 86_400_000;

/** What the rules read of a promotion that approvers decide. */
export interface PendingPromotion {
  readonly state: PromotionState;
  readonly lapseCause: LapseCause | null;
  readonly requesterId: string;
  readonly approverIds: readonly string[];
  readonly specHash: string;
  readonly policyHash: string;
  /** Null: approvals were never asked for. */
  readonly expiresAt: Date | null;
}

/** What the approvals are bound to, as it stands now. */
export interface PresentState {
  readonly specHash: string;
  readonly policyHash: string;
  /** It has a proof of the active policy, or of one that a revalidation makes one of it. */
  readonly governed: boolean;
}

/**
 * Throws unless this principal may decide it: OwnRequest for the one who asked, whatever became of it, ApprovalConflict
 * when it is not pending any more.
 */
export function requireDecidable(promotion: PendingPromotion, deciderId: string): void {
  if (promotion.requesterId === deciderId) throw new OwnRequest();
  if (promotion.state === 'pending') return;
  if (promotion.lapseCause !== null) throw lapsed(promotion.lapseCause);
  throw new ApprovalConflict('PROMOTION_DECIDED', `the promotion is ${promotion.state} already`);
}

/** Throws ApprovalConflict for whoever has approved it already: no human counts twice. */
export function requireFirstApproval(promotion: PendingPromotion, deciderId: string): void {
  if (promotion.approverIds.includes(deciderId)) {
    throw new ApprovalConflict('APPROVAL_GIVEN', 'you have approved this promotion; another human must');
  }
}

/** Why a pending promotion has come to its end by itself; undefined while it is open. `present` is absent without agent. */
export function lapseOf(
  { expiresAt, specHash, policyHash }: PendingPromotion,
  now: number,
  present: PresentState | undefined,
): LapseCause | undefined {
  if (expiresAt === null || now >= expiresAt.getTime()) return 'EXPIRED';
  if (present === undefined) return 'AGENT_DELETED';
  if (present.specHash !== specHash) return 'SPEC_CHANGED';
  if (present.policyHash !== policyHash) return 'POLICY_CHANGED';
  return present.governed ? 'AGENT_GOVERNED' : undefined;
}

const TEXTS: Readonly<Record<LapseCause, string>> = {
  EXPIRED: 'the promotion was not decided in time; ask for it again',
  SPEC_CHANGED: 'the spec has changed since the promotion was asked for; ask for it again',
  POLICY_CHANGED: 'another policy is active since the promotion was asked for; ask for it again',
  AGENT_DELETED: 'the agent was deleted',
  AGENT_GOVERNED: 'the agent needs no promotion any more',
};

/** What whoever wants to decide a promotion is told once it has lapsed. */
export function lapsed(cause: LapseCause): ApprovalConflict {
  return new ApprovalConflict(cause === 'EXPIRED' ? 'APPROVAL_EXPIRED' : 'APPROVAL_STALE', TEXTS[cause]);
}
