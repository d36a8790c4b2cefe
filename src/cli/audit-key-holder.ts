import { createPublicKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';

import type { AuditKeyHolder } from '../config/audit-key.ts';
import { SignerError } from '../crypto/signer.ts';
import type { VerificationKey } from '../crypto/verify.ts';
import { openKmsSigner } from '../signers/drivers/kms/kms-signer.ts';
import { verifyWithKms } from '../signers/drivers/kms/verify-with-kms.ts';
import { verifyWithToken } from '../signers/drivers/pkcs11/pkcs11-signer.ts';

/** What the holder of the key said of a signature. */
export interface HolderVerdict {
  /** `registry`: nobody but this program verified, with the registered public key. */
  readonly by: 'kms' | 'token' | 'registry';
  /** The key as its holder names it; null for the registry. */
  readonly key: string | null;
  /** `other-key`: the holder's key is not the one that the registry has for the signer, so it vouches for nothing here. */
  readonly verdict: 'valid' | 'invalid' | 'other-key';
}

/**
 * Has a signature verified where the key is held. `publicKey` (SPKI PEM) is the registry's, with which it is
 * good already. Rejects with SignerError or KeyError when the holder cannot be asked.
 */
export async function askHolder(
  holder: AuditKeyHolder,
  signed: { readonly message: Buffer; readonly signature: Buffer },
  publicKey: string,
): Promise<HolderVerdict> {
  if (holder.source === 'kms') {
    const { valid, key } = await askKms(holder, signed);
    return { by: 'kms', key: holder.keyArn, verdict: verdictOf(valid, key, publicKey) };
  }
  if (holder.source === 'pkcs11') {
    const { valid, key } = await verifyWithToken(
      { ...holder.token, key: holder.key },
      signed.message,
      signed.signature,
    );
    const name = `${holder.key} of token ${holder.token.tokenLabel}`;
    return { by: 'token', key: name, verdict: verdictOf(valid, key, publicKey) };
  }
  return { by: 'registry', key: null, verdict: 'valid' };
}

async function askKms(
  { keyArn, kms: { endpoint, caFile } }: Extract<AuditKeyHolder, { source: 'kms' }>,
  { message, signature }: { readonly message: Buffer; readonly signature: Buffer },
): Promise<{ valid: boolean; key: VerificationKey }> {
  const connection = { keyArn, endpoint, ca: caFile === undefined ? undefined : await readFile(caFile, 'utf8') };
  const kms = await openKmsSigner({ ...connection, signerId: keyArn });
  kms.close();
  const { algorithm } = kms.key;
  if (algorithm === 'HMAC-SHA256') throw new SignerError(`${keyArn} is no key pair`);
  return { valid: await verifyWithKms({ ...connection, algorithm }, message, signature), key: kms.key };
}

/** By the bytes of the keys: a holder that vouches with another key than the registered one proves nothing of the log. */
function verdictOf(valid: boolean, { key }: VerificationKey, registeredPem: string): HolderVerdict['verdict'] {
  if (!createPublicKey(registeredPem).equals(key)) return 'other-key';
  return valid ? 'valid' : 'invalid';
}
