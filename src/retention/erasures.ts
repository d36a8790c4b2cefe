import type { AuditAppender, Claim } from '../audit/append.ts';
import { ValidationFailed } from '../http/problem.ts';
import { newId, SYSTEM_CHAIN } from '../ids.ts';
import type { Trx } from '../storage/database.ts';
import type { RetentionCaller } from './caller.ts';
import { RetentionError } from './errors.ts';
import { forgetActor } from './people.ts';
import type { ErasureRequest, ErasureView } from './schema.ts';
import { type Doomed, eraseValues, existingEvents, findHold } from './store.ts';

/** Values that one unit erases: the chain stands still while it does. */
const MAX_VALUES = 20_000;

/**
 * Erases what people wrote in events of a chain, which stay whole: their commitments then bind what nobody can know any more.
 * In the system chain, with an actor, also who that is. Rejects with RetentionError LEGAL_HOLD, UNPROCESSABLE for an event that
 * there is not, or CONFLICT for an actor that is locked out.
 */
export type Erase = (
  chain: string,
  request: ErasureRequest,
  caller: RetentionCaller,
  claim?: Claim<ErasureView>,
) => Promise<ErasureView>;

export function createErase({ audit, limit = MAX_VALUES }: { audit: AuditAppender; limit?: number }): Erase {
  return async (chain, request, caller, claim) => {
    const doomed = doomedBy(request);
    const erasureId = newId();
    return audit.commit({
      chain,
      claim,
      // What the units before it wrote is stored by then, and erased with the rest.
      alone: true,
      work: async ({ trx, append }) => {
        if ((await findHold(trx, chain)) !== undefined) {
          throw new RetentionError('LEGAL_HOLD', 'the chain is under a legal hold: nothing of it may be erased');
        }
        await requireEvents(trx, chain, doomed.events);
        const values = await eraseValues(trx, doomed, limit);
        if (chain === SYSTEM_CHAIN && doomed.actorId !== null) await forgetActor(trx, doomed.actorId);
        const auditEvent = append({
          type: 'erasure.performed',
          actor: caller.actor,
          payload: { erasureId, ...namedActor(doomed), values, reason: request.reason },
          traceId: caller.traceId,
        });
        return { erasureId, values, more: values === limit, auditEvent };
      },
    });
  };
}

function doomedBy({ actorId, events }: ErasureRequest): Doomed {
  if ((actorId === undefined) === (events === undefined)) {
    throw new ValidationFailed([{ pointer: '', detail: 'must have either actorId or events' }]);
  }
  return { actorId: actorId ?? null, events: events ?? [] };
}

function namedActor({ actorId }: Doomed): { actorId?: string } {
  return actorId === null ? {} : { actorId };
}

async function requireEvents(trx: Trx, chain: string, events: readonly number[]): Promise<void> {
  if (events.length === 0) return;
  const existing = new Set(await existingEvents(trx, chain, events));
  const unknown = events.find((seq) => !existing.has(seq));
  if (unknown !== undefined) throw new RetentionError('UNPROCESSABLE', `the chain has no event ${unknown}`);
}
