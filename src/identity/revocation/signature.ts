import { type KeyObject, verify } from 'node:crypto';

interface Algorithm {
  readonly key: 'rsa' | 'ec' | 'ed25519';
  /** Null: the algorithm has its own. */
  readonly hash: string | null;
}

/** By OID. No SHA-1: who can make two lists of one digest takes a revocation back. */
const ALGORITHMS: ReadonlyMap<string, Algorithm> = new Map([
  ['1.2.840.113549.1.1.11', { key: 'rsa', hash: 'sha256' }],
  ['1.2.840.113549.1.1.12', { key: 'rsa', hash: 'sha384' }],
  ['1.2.840.113549.1.1.13', { key: 'rsa', hash: 'sha512' }],
  ['1.2.840.10045.4.3.2', { key: 'ec', hash: 'sha256' }],
  ['1.2.840.10045.4.3.3', { key: 'ec', hash: 'sha384' }],
  ['1.2.840.10045.4.3.4', { key: 'ec', hash: 'sha512' }],
  ['1.3.101.112', { key: 'ed25519', hash: null }],
]);

/** What an authority or its responder has signed, as it came. */
export interface Signed {
  readonly bytes: Uint8Array;
  readonly algorithm: string;
  readonly signature: Uint8Array;
}

/** True when the key made the signature, with an algorithm that is accepted and is the key's own. */
export function isSignedBy({ bytes, algorithm, signature }: Signed, key: KeyObject): boolean {
  const accepted = ALGORITHMS.get(algorithm);
  if (accepted === undefined || accepted.key !== key.asymmetricKeyType) return false;
  try {
    return verify(accepted.hash, bytes, key, signature);
  } catch (error) {
    // OpenSSL throws for some signatures that cannot be read: they are none.
    if (error instanceof Error) return false;
    throw error;
  }
}
