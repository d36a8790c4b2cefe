import { canonicalBytes } from '../crypto/canonical-json.ts';
import { type DsseEnvelope, pae } from '../crypto/dsse.ts';
import { type Signer, SignerError } from '../crypto/signer.ts';
import type { VerificationKey } from '../crypto/verify.ts';
import { checkSignatureAsync } from './envelope.ts';
import type { AnyStatement } from './shared-statement.ts';
import { PAYLOAD_TYPE } from './statement.ts';

/**
 * The signed envelope over `statement`. `key` is what the registry lists for this signer: a signature that it does not
 * confirm (wrong key, repointed alias, broken proxy) is a SignerError, and never leaves this function.
 */
export async function issueProof(
  statement: AnyStatement,
  signer: Signer,
  key: VerificationKey,
  signal?: AbortSignal,
): Promise<DsseEnvelope> {
  if (signer.algorithm !== key.algorithm) {
    throw new SignerError(`signer ${signer.signerId} is registered for ${key.algorithm}, not ${signer.algorithm}`);
  }
  const payload = canonicalBytes(statement);
  const signature = await signer.sign(pae(PAYLOAD_TYPE, payload), signal);
  const envelope: DsseEnvelope = {
    payloadType: PAYLOAD_TYPE,
    payload: payload.toString('base64'),
    signatures: [{ keyid: signer.signerId, sig: signature.toString('base64') }],
  };
  if (!isVerifiedWith(signer, key) && !(await checkSignatureAsync(envelope, key))) {
    throw new SignerError(`the signature by ${signer.signerId} does not verify with its registered key`);
  }
  return envelope;
}

/** The signer has verified it with that very key: the same arithmetic again would tell nothing more. */
function isVerifiedWith({ verifiedWith }: Signer, { algorithm, key }: VerificationKey): boolean {
  return verifiedWith !== undefined && verifiedWith.algorithm === algorithm && verifiedWith.key.equals(key);
}
