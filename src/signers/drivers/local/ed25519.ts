import { createPrivateKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { promisify } from 'node:util';

import { type Signer, SignerError } from '../../../crypto/signer.ts';
import { KeyError } from '../../../crypto/verify.ts';

const signInPool = promisify(sign);

/** Signatures in one turn of the event loop that are made there: 2 ms. Handing one to the thread pool costs a third of it. */
const AT_ONCE = 64;

/**
 * A signer over an Ed25519 private key in PKCS #8 PEM, for development. Throws KeyError for any other key. It signs on the
 * event loop, and what is too much for one turn of it in the thread pool.
 */
export function createLocalSigner(options: { signerId: string; privateKeyPem: string }): Signer {
  const key = privateKey(options.privateKeyPem);
  let made = 0;

  function isTooMuch(): boolean {
    if (made === 0) setImmediate(() => (made = 0));
    made += 1;
    return made > AT_ONCE;
  }

  return {
    signerId: options.signerId,
    algorithm: 'Ed25519',
    async sign(data, signal) {
      if (signal?.aborted) throw new SignerError('signing was cancelled', { cause: signal.reason });
      try {
        return isTooMuch() ? await signInPool(null, data, key) : sign(null, data, key);
      } catch (cause) {
        throw new SignerError('the local key could not sign', { cause });
      }
    },
  };
}

/** A new Ed25519 key pair in PEM (PKCS #8, SPKI). The private half is the caller's to keep. */
export function generateEd25519(): { privateKeyPem: string; publicKeyPem: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519', {
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  return { privateKeyPem: privateKey, publicKeyPem: publicKey };
}

function privateKey(pem: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: pem, format: 'pem' });
  } catch {
    // Without the cause: nothing of a private key's text may reach a log.
    throw new KeyError('not a readable private key in PEM');
  }
  if (key.asymmetricKeyType !== 'ed25519') throw new KeyError('a local signer takes an Ed25519 key only');
  return key;
}
