import type { UnitScope } from '../audit/append.ts';
import { sha256Digest } from '../crypto/digest.ts';
import { actorOf, conflict, found, requireStep, type SignerCaller } from './caller.ts';
import { SignerRegistryError } from './errors.ts';
import { normalizedKey, windowOf } from './new-key.ts';
import { registeredEvent } from './registered-event.ts';
import { appendRegistryEvent } from './registry-event.ts';
import type { RegisterSigner, RotateSigner } from './schema.ts';
import {
  changeSigner,
  findSigner,
  firstSize,
  insertSigner,
  type NewSigner,
  newestActive,
  type SignerRow,
} from './store.ts';
import { isInForce, stateAfter } from './transitions.ts';

/** What of a request makes a signer in force. Throws SIGNER_INVALID. */
export function newSigner(request: RegisterSigner, caller: SignerCaller): NewSigner {
  const { signerId, alg, purpose } = request;
  return { signerId, alg, publicKey: normalizedKey(request), purpose, ...windowOf(request), createdBy: caller.id };
}

/** Trusts a key at once, beside those that are trusted. Throws ALREADY_EXISTS. */
export async function admitSigner(scope: UnitScope, signer: NewSigner, caller: SignerCaller): Promise<SignerRow> {
  const { signerId } = signer;
  await insertNew(scope, signer);
  await appendRegistryEvent(scope, registeredEvent(signer, actorOf(caller), caller.traceId));
  return found(await findSigner(scope.trx, signerId));
}

/** The key that is to take the place of another; it counts for nothing until it does. Throws SIGNER_INVALID. */
export function pendingSigner(request: RotateSigner, caller: SignerCaller): NewSigner {
  const { signerId, alg, purpose, replaces } = request;
  const publicKey = normalizedKey(request);
  return { signerId, alg, publicKey, purpose, notBefore: null, notAfter: null, createdBy: caller.id, replaces };
}

/** Throws NotFound, ALREADY_EXISTS, SIGNER_STATE_CONFLICT. */
export async function requestRotation(
  scope: UnitScope,
  request: RotateSigner,
  signer: NewSigner,
  caller: SignerCaller,
): Promise<SignerRow> {
  const { signerId, alg, purpose, replaces, emergency = false, reason } = request;
  const old = found(await findSigner(scope.trx, replaces));
  if (old.purpose !== purpose) throw conflict(`the signer to be replaced is for ${old.purpose}`);
  if (old.state === 'pending') throw conflict('the signer to be replaced is pending');
  if (!emergency && !isInForce(old.state)) throw conflict(`the signer to be replaced is ${old.state}`);
  await insertNew(scope, signer);
  await appendRegistryEvent(scope, {
    type: 'signer.rotation.requested',
    actor: actorOf(caller),
    payload: {
      signerId,
      alg,
      purpose,
      publicKeyDigest: sha256Digest(signer.publicKey ?? ''),
      replaces,
      emergency,
      ...(reason === undefined ? {} : { reason }),
    },
    traceId: caller.traceId,
  });
  return found(await findSigner(scope.trx, signerId));
}

/** The pending signer comes into force and the one it replaces is on its way out: both are accepted. */
export async function applyRotation(scope: UnitScope, pending: SignerRow, caller: SignerCaller): Promise<SignerRow> {
  const { signer_id: signerId, purpose, replaces } = pending;
  if (replaces === null) throw conflict('the signer replaces no other');
  const now = new Date(scope.now);
  const state = requireStep(pending, 'activate');
  const size = await firstSize(scope.trx, purpose, signerId);
  const row = await changeSigner(scope.trx, signerId, { state, valid_from_size: size }, now);
  const old = found(await findSigner(scope.trx, replaces));
  const after = stateAfter(old.state, 'replace');
  // One that is out of force already stays as it is.
  if (after !== undefined) await changeSigner(scope.trx, replaces, { state: after }, now);
  await appendRegistryEvent(scope, {
    type: 'signer.rotation.applied',
    actor: actorOf(caller),
    payload: { signerId, purpose, replaces },
    traceId: caller.traceId,
  });
  return row;
}

/**
 * A signer that was trusted beside another takes its place: both are accepted until the other is retired. Throws NotFound,
 * SIGNER_STATE_CONFLICT where there is no other in force.
 */
export async function handOver(
  scope: UnitScope,
  replaces: string,
  reason: string,
  caller: SignerCaller,
): Promise<SignerRow> {
  const old = found(await findSigner(scope.trx, replaces));
  const state = requireStep(old, 'replace');
  const { purpose } = old;
  const signerId = await newestActive(scope.trx, purpose, replaces);
  if (signerId === undefined) throw conflict(`no other signer for ${purpose} is active: name its replacement`);
  const row = await changeSigner(scope.trx, replaces, { state }, new Date(scope.now));
  await appendRegistryEvent(scope, {
    type: 'signer.rotation.applied',
    actor: actorOf(caller),
    payload: { signerId, purpose, replaces, reason },
    traceId: caller.traceId,
  });
  return row;
}

async function insertNew({ trx, now }: UnitScope, signer: NewSigner): Promise<void> {
  if (await insertSigner(trx, signer, new Date(now))) return;
  throw new SignerRegistryError('ALREADY_EXISTS', 'the signerId or the key is registered already');
}
