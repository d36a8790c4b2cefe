import type { SignatureAlgorithm } from '../crypto/signer.ts';
import { KeyError, type VerificationKey, verificationKey } from '../crypto/verify.ts';

/** Parsed keys kept; a registry has a handful. */
const MAX_KEYS = 1_000;

/** What of a registry row makes its key. */
export interface KeyRow {
  readonly signer_id: string;
  readonly alg: SignatureAlgorithm;
  readonly public_key: string | null;
}

/** The verification key of a registry row; undefined when there is none: a shared secret not at hand, an unfit key. */
export type KeyOf = (row: KeyRow) => VerificationKey | undefined;

/**
 * Parses the keys of registry rows, each once. A shared secret is never in the registry: `secrets` has those of this
 * process by signerId. The row is the whole cache key, so an edited row is another key and never an older answer.
 */
export function createKeyOf(secrets: ReadonlyMap<string, VerificationKey>): KeyOf {
  const parsed = new Map<string, VerificationKey | undefined>();

  return (row) => {
    if (row.public_key === null) {
      const secret = secrets.get(row.signer_id);
      return secret?.algorithm === row.alg ? secret : undefined;
    }
    const name = `${row.alg}\n${row.public_key}`;
    if (parsed.has(name)) return parsed.get(name);
    if (parsed.size >= MAX_KEYS) parsed.clear();
    const key = parse(row.alg, row.public_key);
    parsed.set(name, key);
    return key;
  };
}

/** The SPKI PEM of a key in its one spelling; null for a shared secret. */
export function publicKeyPem({ key }: VerificationKey): string | null {
  return key.type === 'public' ? key.export({ type: 'spki', format: 'pem' }).toString() : null;
}

function parse(alg: SignatureAlgorithm, pem: string): VerificationKey | undefined {
  try {
    return verificationKey(alg, pem);
  } catch (error) {
    if (error instanceof KeyError) return undefined;
    throw error;
  }
}
