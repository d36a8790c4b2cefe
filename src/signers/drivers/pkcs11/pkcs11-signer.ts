import { SignerError } from '../../../crypto/signer.ts';
import { KeyError, type VerificationKey, verificationKey } from '../../../crypto/verify.ts';
import { withAttempts } from '../attempts.ts';
import { type RemoteLimits, type RemoteSigner, remoteSigner } from '../remote-signer.ts';
import type { TokenAlgorithm, TokenKey } from './messages.ts';
import { createTokenLink, type TokenLink, TokenRefusal } from './token-link.ts';

/** ms for finding the key at the start. */
const OPEN_DEADLINE_MS = 20_000;

export interface Pkcs11SignerOptions extends TokenKey, RemoteLimits {
  readonly signerId: string;
  /** Must be the key's own when given. */
  readonly algorithm?: TokenAlgorithm | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * A signer over a key in an HSM, with the public half that the token gives for it. Rejects with KeyError for a module, PIN
 * or key unfit for use, with SignerError when the token or the key is not there.
 */
export async function openPkcs11Signer(options: Pkcs11SignerOptions): Promise<RemoteSigner> {
  const { link, key } = await openLink(options);
  const { signerId, algorithm } = options;
  if (algorithm !== undefined && algorithm !== key.algorithm) {
    link.close();
    throw new KeyError(`${options.key} is a key for ${key.algorithm}, not ${algorithm}`);
  }
  const remote = {
    signerId,
    key,
    async signOnce(data: Uint8Array, signal: AbortSignal) {
      const reply = await link.ask({ sign: data }, signal);
      if ('signature' in reply && reply.signature.length > 0) return Buffer.from(reply.signature);
      throw new SignerError('PKCS#11: the answer has no signature');
    },
    async probeOnce(signal: AbortSignal) {
      await link.ask({ probe: true }, signal);
    },
    close: () => link.close(),
  };
  return remoteSigner(remote, options);
}

/** Whether the token itself says that its key has made this signature, and which key that is. Rejects as openPkcs11Signer. */
export async function verifyWithToken(
  at: TokenKey,
  data: Uint8Array,
  signature: Uint8Array,
): Promise<{ valid: boolean; key: VerificationKey }> {
  const { link, key } = await openLink(at);
  try {
    const reply = await withAttempts((signal) => link.ask({ verify: data, signature }, signal), {
      deadlineMs: OPEN_DEADLINE_MS,
    });
    if (!('valid' in reply)) throw new SignerError('PKCS#11: not an answer to what was asked');
    return { valid: reply.valid, key };
  } finally {
    link.close();
  }
}

async function openLink(
  options: TokenKey & { signal?: AbortSignal | undefined },
): Promise<{ link: TokenLink; key: VerificationKey }> {
  const { module, tokenLabel, pin, key: name, signal } = options;
  const link = createTokenLink({ module, tokenLabel, pin, key: name });
  try {
    const limits = { deadlineMs: OPEN_DEADLINE_MS, signal };
    const { algorithm, publicKey } = await withAttempts((attempt) => link.open(attempt), limits);
    return { link, key: verificationKey(algorithm, publicKey) };
  } catch (error) {
    link.close();
    // What an operator has to mend is no outage.
    const isMistake = error instanceof TokenRefusal && (error.kind === 'pin' || error.kind === 'unsuitable');
    throw isMistake ? new KeyError(error.message) : error;
  }
}
