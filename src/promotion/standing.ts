import type { Denial } from '../admission/check.ts';
import { readProof } from '../admission/proof-reading.ts';
import type { AdmissionService } from '../admission/service.ts';
import type { AdmissionSubject } from '../admission/subject.ts';
import { needsReapproval } from '../proofs/reapproval.ts';
import type { Trx } from '../storage/database.ts';

/** What a workspace has set about promotions. */
export interface ApprovalSettings {
  readonly approvalsRequired: number;
  readonly reapproveOnPolicyChange: boolean;
}

export type PromotionSettings = (trx: Trx, workspaceId: string) => Promise<ApprovalSettings>;

/**
 * Whether a governed agent may be promoted once more: its workspace wants approvals again for another policy, and it has
 * none for the active one. Whether its proof holds is another question (obstaclesOf).
 */
export function awaitsReapproval(subject: AdmissionSubject, { reapproveOnPolicyChange }: ApprovalSettings): boolean {
  if (!reapproveOnPolicyChange || subject.mode !== 'governed' || subject.invalidation !== null) return false;
  const reading = readProof(subject);
  return reading.readable && needsReapproval(reading.statement, subject.policy.hash);
}

/** What keeps an agent from being asked about at all; for a governed one also that its proof does not hold. */
export async function obstaclesOf(
  admission: Pick<AdmissionService, 'beforePromotion' | 'proofHolds'>,
  subject: AdmissionSubject,
): Promise<readonly Denial[]> {
  const obstacles = await admission.beforePromotion(subject);
  if (obstacles.length > 0 || subject.mode !== 'governed') return obstacles;
  return admission.proofHolds(subject);
}
