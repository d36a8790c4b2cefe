import type { AuditAppender } from '../audit/append.ts';
import { NotFound } from '../http/problem.ts';
import type { Storage } from '../storage/storage.ts';
import type { RetentionCaller } from './caller.ts';
import type { HoldView } from './schema.ts';
import { chainExists, deleteHold, findHold, type HoldRow, insertHold } from './store.ts';

/** Legal holds: while one is on a chain, nothing of it is erased or pruned. */
export interface Holds {
  get(chain: string): Promise<HoldView>;
  /** Placing one where one is changes nothing. Needs no signer: it restricts. */
  place(chain: string, reason: string, caller: RetentionCaller): Promise<HoldView>;
  /** Releasing one where none is changes nothing. */
  release(chain: string, reason: string, caller: RetentionCaller): Promise<HoldView>;
}

export function createHolds({ storage, audit }: { storage: Storage; audit: AuditAppender }): Holds {
  async function get(chain: string): Promise<HoldView> {
    const row = await storage.read(chain, async (trx) => {
      if (!(await chainExists(trx, chain))) throw new NotFound();
      return findHold(trx, chain);
    });
    return row === undefined ? { held: false } : view(row);
  }

  async function place(chain: string, reason: string, { actor, traceId }: RetentionCaller): Promise<HoldView> {
    return audit.commit({
      chain,
      brake: true,
      work: async ({ trx, now, append }) => {
        const present = await findHold(trx, chain);
        if (present !== undefined) return view(present);
        const { seq } = append({ type: 'audit.hold.placed', actor, payload: { reason }, traceId });
        const hold = { chain, seq, placed_at: new Date(now), placed_by: actor.id };
        await insertHold(trx, hold);
        return view({ ...hold, reason });
      },
    });
  }

  async function release(chain: string, reason: string, { actor, traceId }: RetentionCaller): Promise<HoldView> {
    return audit.commit({
      chain,
      work: async ({ trx, append }) => {
        if ((await findHold(trx, chain)) === undefined) return { held: false };
        await deleteHold(trx, chain);
        append({ type: 'audit.hold.released', actor, payload: { reason }, traceId });
        return { held: false };
      },
    });
  }

  return { get, place, release };
}

function view({ chain, seq, placed_at: placedAt, placed_by: placedBy, reason }: HoldRow): HoldView {
  return {
    held: true,
    placedAt: placedAt.toISOString(),
    placedBy,
    ...(reason === null ? {} : { reason }),
    auditEvent: { chain, seq },
  };
}
