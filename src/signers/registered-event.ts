import type { Actor, EventInput } from '../audit/event.ts';
import { sha256Digest } from '../crypto/digest.ts';
import type { NewSigner } from './store.ts';

/** The event of a new registry entry; the key itself goes in by digest. */
export function registeredEvent(
  signer: NewSigner,
  actor: Actor,
  traceId: string | undefined,
): EventInput<'signer.registered'> {
  const { signerId, alg, purpose, publicKey, notBefore, notAfter } = signer;
  return {
    type: 'signer.registered',
    actor,
    payload: {
      signerId,
      alg,
      purpose,
      publicKeyDigest: publicKey === null ? null : sha256Digest(publicKey),
      ...(notBefore === null ? {} : { notBefore: notBefore.toISOString() }),
      ...(notAfter === null ? {} : { notAfter: notAfter.toISOString() }),
    },
    traceId,
  };
}
