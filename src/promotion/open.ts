import type { AdmissionService } from '../admission/service.ts';
import type { AdmissionSubject } from '../admission/subject.ts';
import { requireUnchanged } from '../admission/unchanged.ts';
import type { Caller } from '../agents/caller.ts';
import type { AuditAppender, UnitScope } from '../audit/append.ts';
import { StaleRead } from '../audit/errors.ts';
import type { Clock } from '../clock.ts';
import { NotFound } from '../http/problem.ts';
import { WorkspaceSuspended } from '../identity/errors.ts';
import { isUuid } from '../ids.ts';
import type { Storage } from '../storage/storage.ts';
import { lapse, requireSame } from './lapse.ts';
import { lapsed, lapseOf, requireDecidable } from './pending.ts';
import { findStored, pendingOf, type StoredPromotion } from './pending-store.ts';
import { awaitsReapproval, type PromotionSettings } from './standing.ts';

/** A promotion that is open, with its agent as it stands now. */
export interface Open {
  readonly stored: StoredPromotion;
  readonly subject: AdmissionSubject;
  /** Never fewer than at the request, nor than the workspace asks for now. */
  readonly approvalsRequired: number;
}

/** Promotions as whoever decides them finds them. */
export function createOpenPromotions(parts: {
  readonly storage: Storage;
  readonly audit: AuditAppender;
  readonly admission: Pick<AdmissionService, 'load' | 'reread'>;
  readonly settings: PromotionSettings;
  readonly clock: Clock;
}) {
  const { storage, audit, admission, clock } = parts;

  /**
   * Its agent is still the one that approvals are asked for; else it is ended, and that is thrown. In a suspended workspace
   * nothing is decided and nothing ends.
   */
  async function requireOpen(workspaceId: string, promotionId: string, caller: Caller): Promise<Open> {
    const stored = await find(workspaceId, promotionId);
    requireDecidable(pendingOf(stored), caller.id);
    const { agent_id: agentId, approvals_required: asked } = stored.row;
    const subject = await admission.load(workspaceId, agentId, caller);
    if (subject?.workspaceState === 'suspended') throw new WorkspaceSuspended(workspaceId);
    // After the subject: what is set meanwhile is seen under the lock, for its fingerprint names the workspace's row.
    const settings = await storage.read(workspaceId, (trx) => parts.settings(trx, workspaceId));
    const present = subject && {
      specHash: subject.specHash,
      policyHash: subject.policy.hash,
      governed: subject.mode === 'governed' && !awaitsReapproval(subject, settings),
    };
    const cause = lapseOf(pendingOf(stored), clock(), present);
    if (cause === undefined && subject !== undefined) {
      return { stored, subject, approvalsRequired: Math.max(asked, settings.approvalsRequired) };
    }
    const why = cause ?? 'AGENT_DELETED';
    await audit.commit({
      chain: workspaceId,
      work: async (scope) => {
        await requireSame(scope, stored);
        if (subject !== undefined) await requireUnchanged(admission, scope, subject);
        await lapse(scope, stored, why, caller);
      },
    });
    throw lapsed(why);
  }

  async function find(workspaceId: string, promotionId: string): Promise<StoredPromotion> {
    if (!isUuid(promotionId)) throw new NotFound();
    const stored = await storage.read(workspaceId, (trx) => findStored(trx, workspaceId, promotionId));
    if (stored === undefined) throw new NotFound();
    return stored;
  }

  /** Under the lock: it is still open, and still in time. Throws StaleRead. */
  async function hold(scope: UnitScope, { stored }: Open): Promise<void> {
    await requireSame(scope, stored);
    const { expires_at: expiresAt } = stored.row;
    if (expiresAt === null || scope.now >= expiresAt.getTime()) throw new StaleRead('the time for the approval');
  }

  return { requireOpen, hold };
}
