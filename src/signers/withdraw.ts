import type { UnitScope } from '../audit/append.ts';
import { actorOf, conflict, found, requireStep, type SignerCaller } from './caller.ts';
import { SignerRegistryError } from './errors.ts';
import { timeOf } from './new-key.ts';
import { appendRegistryEvent } from './registry-event.ts';
import type { CompromiseSigner } from './schema.ts';
import { changeSigner, findSigner, logSize, type SignerRow, statesOfOthers } from './store.ts';
import { isInForce } from './transitions.ts';

/** Ends an overlap: it signs no more, and what it signed still counts. Throws NotFound, SIGNER_STATE_CONFLICT. */
export async function retireSigner(
  scope: UnitScope,
  signerId: string,
  caller: SignerCaller,
  own: ReadonlySet<string>,
): Promise<SignerRow> {
  const old = found(await findSigner(scope.trx, signerId));
  const state = requireStep(old, 'retire');
  const { purpose } = old;
  const others = await statesOfOthers(scope.trx, purpose, signerId);
  if (!others.some(isInForce)) throw conflict(`it is the only signer for ${purpose} in force: rotate first`);
  if (own.has(signerId)) throw conflict('this replica signs with it: move every replica to its replacement first');
  const now = new Date(scope.now);
  const row = await changeSigner(scope.trx, signerId, { state }, now);
  await appendRegistryEvent(scope, {
    type: 'signer.retired',
    actor: actorOf(caller),
    payload: { signerId, purpose, retiredAt: now.toISOString() },
    traceId: caller.traceId,
  });
  return row;
}

/** Ends the trust in what it signs from now on. Throws NotFound, SIGNER_STATE_CONFLICT. */
export async function revokeSigner(
  scope: UnitScope,
  signerId: string,
  reason: string,
  caller: SignerCaller,
): Promise<SignerRow> {
  const old = found(await findSigner(scope.trx, signerId));
  const state = requireStep(old, 'revoke');
  const now = new Date(scope.now);
  const change = { state, revoked_at: now, revoked_reason: reason, ...nothingOf(old, now) };
  const row = await changeSigner(scope.trx, signerId, change, now);
  await appendRegistryEvent(scope, {
    type: 'signer.revoked',
    actor: actorOf(caller),
    payload: { signerId, purpose: old.purpose, revokedAt: now.toISOString(), reason },
    traceId: caller.traceId,
  });
  return row;
}

/**
 * Its key was in other hands: what it signed counts up to a moment, and within the log as it was at that moment. Throws
 * NotFound, SIGNER_STATE_CONFLICT, SIGNER_INVALID for a moment that is yet to come.
 */
export async function compromiseSigner(
  scope: UnitScope,
  signerId: string,
  { reason, trustedUpTo }: CompromiseSigner,
  caller: SignerCaller,
): Promise<SignerRow> {
  const old = found(await findSigner(scope.trx, signerId));
  const state = requireStep(old, 'compromise');
  const now = new Date(scope.now);
  const until = timeOf(trustedUpTo, 'trustedUpTo') ?? now;
  if (until > now) throw new SignerRegistryError('SIGNER_INVALID', 'trustedUpTo is in the future');
  const size = least(await logSize(scope.trx, until), old.valid_to_size);
  const change = {
    state,
    revoked_at: old.revoked_at ?? now,
    revoked_reason: reason,
    trusted_up_to: until,
    ...(size === null ? {} : { valid_to_size: size }),
    ...nothingOf(old, now),
  };
  const row = await changeSigner(scope.trx, signerId, change, now);
  await appendRegistryEvent(scope, {
    type: 'signer.compromise',
    actor: actorOf(caller),
    payload: {
      signerId,
      purpose: old.purpose,
      trustedUpTo: until.toISOString(),
      ...(row.valid_to_size === null ? {} : { validToSize: row.valid_to_size }),
      reason,
    },
    traceId: caller.traceId,
  });
  return row;
}

/** A signer that was never in force has signed nothing, and the state it ends in must not make up a time in which it might have. */
function nothingOf({ state }: SignerRow, now: Date): { not_before?: Date; valid_to_size?: number } {
  return state === 'pending' ? { not_before: now, valid_to_size: 0 } : {};
}

function least(a: number | null, b: number | null): number | null {
  if (a === null || b === null) return a ?? b;
  return Math.min(a, b);
}
