import { type Signer, SignerError } from '../crypto/signer.ts';
import { type VerificationKey, verifySignatureAsync } from '../crypto/verify.ts';

/** ms; for callers that bring no deadline of their own (audit.md: below lock_timeout). */
const SIGN_DEADLINE_MS = 2000;

/** A key that can sign, with the public half (or shared secret) that its configuration says it has. */
export interface KeyedSigner {
  readonly signer: Signer;
  readonly key: VerificationKey;
  /** The private half is in this process and `key` was derived from it: nobody stands between who could give another's. */
  readonly inProcess?: boolean;
  /** The same key for work that nobody waits for, where it has a quota. */
  readonly background?: Pick<KeyedSigner, 'signer' | 'key'>;
  /** Resolves when the key would sign now, without signing; else rejects with SignerError. Absent: only signing shows it. */
  probe?(): Promise<void>;
  /** Ends connections. */
  close?(): void;
}

/**
 * The driver, held to its word: a signature that `key` does not confirm (wrong key, repointed alias, broken proxy) is a
 * SignerError, and so is one that does not come before the deadline, whether or not the driver minds the signal.
 */
export function verifiedSigner({ signer, key, inProcess = false }: KeyedSigner): Signer {
  const { signerId, algorithm, maxBytes } = signer;
  const limits = maxBytes === undefined ? {} : { maxBytes };
  if (algorithm !== key.algorithm) throw new SignerError(`signer ${signerId}: its key is for ${key.algorithm}`);
  // Verifying costs three times the signing, and could only say what the derivation has said.
  if (inProcess) {
    return { signerId, algorithm, ...limits, verifiedWith: key, sign: (data, signal) => signer.sign(data, signal) };
  }
  return {
    signerId,
    algorithm,
    ...limits,
    verifiedWith: key,
    async sign(data, signal = AbortSignal.timeout(SIGN_DEADLINE_MS)) {
      const signature = await inTime(signer, data, signal);
      if (await verifySignatureAsync(key, data, signature)) return signature;
      throw new SignerError(`the signature by ${signerId} does not verify with its key`);
    },
  };
}

async function inTime(signer: Signer, data: Uint8Array, signal: AbortSignal): Promise<Buffer> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const give = () => reject(new SignerError(`signer ${signer.signerId} took too long`, { cause: signal.reason }));
  // Whoever loses the race is not listened to any more.
  late.catch(() => undefined);
  if (signal.aborted) give();
  signal.addEventListener('abort', give, { once: true });
  try {
    return await Promise.race([late, signer.sign(data, signal)]);
  } catch (cause) {
    throw cause instanceof SignerError ? cause : new SignerError(`signer ${signer.signerId} failed`, { cause });
  } finally {
    // One signal serves a whole batch: its listeners must not pile up.
    signal.removeEventListener('abort', give);
  }
}
