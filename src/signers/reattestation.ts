import type { AuditAppender, Claim } from '../audit/append.ts';
import type { Storage } from '../storage/storage.ts';
import { actorOf, conflict, found, type SignerCaller } from './caller.ts';
import type { Reattest, ReattestationView } from './reattestation-schema.ts';
import { firstDoubtful, isVouchedFor, lastDoubtful, trustOf } from './reattestation-store.ts';
import { findSigner } from './store.ts';

/** Vouching for what a compromised signer signed, after people have seen that it is what happened. */
export interface Reattestations {
  /** Throws NotFound, and SIGNER_STATE_CONFLICT unless the signer is compromised and left events in doubt, up to `to` if given. */
  reattest(
    chain: string,
    request: Reattest,
    caller: SignerCaller,
    claim?: Claim<ReattestationView>,
  ): Promise<ReattestationView>;
}

export function createReattestations({ storage, audit }: { storage: Storage; audit: AuditAppender }): Reattestations {
  async function reattest(
    chain: string,
    { signerId, reason, ...compared }: Reattest,
    caller: SignerCaller,
    claim?: Claim<ReattestationView>,
  ): Promise<ReattestationView> {
    // A compromised signer stays what it is and signs no more, so its first doubtful event is found without holding up the chain.
    const { from, trust } = await storage.read(chain, async (trx) => {
      const row = found(await findSigner(trx, signerId));
      if (row.state !== 'compromised') throw conflict(`the signer is ${row.state}, not compromised`);
      const trust = await trustOf(trx, chain, row);
      return { trust, from: await firstDoubtful(trx, chain, trust) };
    });
    return audit.commit({
      chain,
      claim,
      work: async (scope) => {
        const last = from === undefined ? undefined : await lastDoubtful(scope.trx, chain, trust, from);
        if (from === undefined || last === undefined)
          throw conflict(`the signer left no event in doubt on chain ${chain}`);
        const { seq: to, hash } = last;
        if (to !== (compared.to ?? to) || hash !== (compared.hash ?? hash)) {
          throw conflict(`the last event in doubt is seq ${to} with the hash ${hash}, not the one that was compared`);
        }
        if (await isVouchedFor(scope.trx, chain, signerId, to)) {
          throw conflict(`the events up to seq ${to} are vouched for`);
        }
        const event = scope.append({
          type: 'audit.range.reattested',
          actor: actorOf(caller),
          payload: { signerId, from, to, hash, reason },
          traceId: caller.traceId,
        });
        return { chain, signerId, from, to, hash, event: { seq: event.seq, hash: event.hash } };
      },
    });
  }

  return { reattest };
}
