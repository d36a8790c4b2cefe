import { createPrivateKey, createPublicKey } from 'node:crypto';

import type { LocalSignerConfig } from '../config.ts';
import { verificationKey } from '../crypto/verify.ts';
import { createLocalSigner } from './drivers/local/ed25519.ts';
import { createHmacSigner } from './drivers/local/hmac.ts';
import { readKeyFile } from './drivers/local/key-file.ts';
import { SignerMismatch } from './errors.ts';
import type { KeyedSigner } from './verified-signer.ts';

/** The signers of this process, from their files. Rejects with KeyFileError or KeyError for a file or key unfit for use. */
export async function openSigners(config: {
  readonly audit: LocalSignerConfig;
  readonly proof: LocalSignerConfig;
  readonly checkpoint?: LocalSignerConfig | undefined;
}): Promise<{
  readonly audit: KeyedSigner;
  readonly proof: KeyedSigner;
  readonly checkpoint: KeyedSigner | undefined;
}> {
  const { audit, proof, checkpoint } = config;
  return {
    audit: await openSigner(audit),
    proof: await openSigner(proof),
    checkpoint: checkpoint && (await openSigner(checkpoint)),
  };
}

async function openSigner({ signerId, keyFile, hmacSecret }: LocalSignerConfig): Promise<KeyedSigner> {
  if (hmacSecret !== undefined) {
    const secret = Buffer.from(hmacSecret, 'base64');
    return {
      signer: createHmacSigner({ signerId, secret }),
      key: verificationKey('HMAC-SHA256', secret),
      inProcess: true,
    };
  }
  if (keyFile === undefined) throw new SignerMismatch(`signer ${signerId} has neither a key file nor a secret`);
  const privateKeyPem = (await readKeyFile(keyFile)).toString('utf8');
  const signer = createLocalSigner({ signerId, privateKeyPem });
  const publicKey = createPublicKey(createPrivateKey(privateKeyPem)).export({ type: 'spki', format: 'pem' });
  return { signer, key: verificationKey('Ed25519', publicKey.toString()), inProcess: true };
}
