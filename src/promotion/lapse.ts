import type { AuditAppender, UnitScope } from '../audit/append.ts';
import { StaleRead } from '../audit/errors.ts';
import type { Actor } from '../audit/event.ts';
import type { Clock } from '../clock.ts';
import type { Storage } from '../storage/storage.ts';
import { findDue, findStored, pendingOf, type StoredPromotion, storeLapse } from './pending-store.ts';
import type { LapseCause } from './table.ts';

const SERVICE: Finder = { id: 'castellan', kind: 'system' };
/** Promotions ended at the same time; those of one workspace share a transaction anyway. */
const CONCURRENCY = 16;

/** Who found that a promotion has lapsed. */
type Finder = Actor & { readonly traceId?: string };

/** Ends a pending promotion that nobody decided: its row and promotion.lapsed. */
export async function lapse(
  scope: UnitScope,
  { row }: StoredPromotion,
  cause: LapseCause,
  { traceId, ...actor }: Finder,
): Promise<void> {
  const payload = { agentId: row.agent_id, promotionId: row.id, cause };
  scope.append({ type: 'promotion.lapsed', actor, payload, traceId });
  await storeLapse(scope.trx, row.workspace_id, row.id, cause, new Date(scope.now));
}

/** Under the lock: nobody has decided or approved it since it was read. Throws StaleRead. */
export async function requireSame({ trx }: UnitScope, { row, approvals }: StoredPromotion): Promise<void> {
  const now = await findStored(trx, row.workspace_id, row.id);
  if (now?.row.state !== row.state || now.approvals.length !== approvals.length) throw new StaleRead('the promotion');
}

/** One round of ending promotions whose time is over, in all workspaces; safe on every replica at once. */
export async function lapseDue(
  { storage, audit, clock }: { storage: Storage; audit: AuditAppender; clock: Clock },
  signal: AbortSignal,
): Promise<void> {
  const due = await storage.system((trx) => findDue(trx, new Date(clock())));
  const failures: unknown[] = [];
  for (let at = 0; at < due.length && !signal.aborted; at += CONCURRENCY) {
    const ended = due.slice(at, at + CONCURRENCY).map(({ workspace_id: chain, id }) =>
      audit.commit({
        chain,
        work: async (scope) => {
          const stored = await findStored(scope.trx, chain, id);
          if (stored === undefined || !isOver(stored, scope.now)) return;
          await lapse(scope, stored, 'EXPIRED', SERVICE);
        },
      }),
    );
    for (const one of await Promise.allSettled(ended)) if (one.status === 'rejected') failures.push(one.reason);
  }
  // The others have ended all the same; these are due again in the next round.
  if (failures.length > 0) throw new AggregateError(failures, `${failures.length} promotions have not lapsed`);
}

function isOver(stored: StoredPromotion, now: number): boolean {
  const { state, expiresAt } = pendingOf(stored);
  return state === 'pending' && expiresAt !== null && now >= expiresAt.getTime();
}
