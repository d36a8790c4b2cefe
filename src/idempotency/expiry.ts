import type { AuditAppender } from '../audit/append.ts';
import type { Clock } from '../clock.ts';
import type { Storage } from '../storage/storage.ts';
import { deleteExpired, findExpired } from './store.ts';

/** Keys looked up at a time; a workspace's lock is held for the deletion of at most as many. */
const ROUND = 500;

/**
 * Forgets keys that are over, in small units on the chains of their workspaces. Safe on every replica at once; one
 * workspace's failure holds up no other.
 */
export async function expireKeys(
  parts: { storage: Storage; audit: Pick<AuditAppender, 'commit'>; clock: Clock },
  signal: AbortSignal,
): Promise<void> {
  const { storage, audit, clock } = parts;
  while (!signal.aborted) {
    const now = new Date(clock());
    const expired = await storage.system((trx) => findExpired(trx, now, ROUND));
    const byWorkspace = Map.groupBy(expired, (row) => row.workspace_id);
    const outcomes = await Promise.allSettled(
      [...byWorkspace].map(([chain, rows]) => {
        const scopes = rows.map((row) => row.scope);
        return audit.commit({ chain, work: ({ trx }) => deleteExpired(trx, chain, scopes, now) });
      }),
    );
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    // Those would be found again at once; the next round of the job tries them.
    if (failed !== undefined) throw failed.reason;
    if (expired.length < ROUND) return;
  }
}
