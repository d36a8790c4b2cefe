import { createHmac } from 'node:crypto';
import { type Signer, SignerError } from '../../../crypto/signer.ts';
import { verificationKey } from '../../../crypto/verify.ts';

/**
 * A signer with a shared secret of at least 32 bytes, else KeyError. Whoever can verify can also sign, so this is no
 * evidence for a third party; configuration keeps it out of production.
 */
export function createHmacSigner(options: { signerId: string; secret: Uint8Array }): Signer {
  const { key } = verificationKey('HMAC-SHA256', options.secret);
  return {
    signerId: options.signerId,
    algorithm: 'HMAC-SHA256',
    async sign(data, signal) {
      if (signal?.aborted) throw new SignerError('signing was cancelled', { cause: signal.reason });
      return createHmac('sha256', key).update(data).digest();
    },
  };
}
