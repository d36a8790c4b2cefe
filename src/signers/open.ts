import { createPrivateKey, createPublicKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';

import type { KeyServices, LocalSignerConfig, RemoteSignerConfig, SignerConfig } from '../config/signing.ts';
import { KeyError, verificationKey } from '../crypto/verify.ts';
import { openKmsSigner } from './drivers/kms/kms-signer.ts';
import { createLocalSigner } from './drivers/local/ed25519.ts';
import { createHmacSigner } from './drivers/local/hmac.ts';
import { readKeyFile } from './drivers/local/key-file.ts';
import { openPkcs11Signer } from './drivers/pkcs11/pkcs11-signer.ts';
import { openProxySigner } from './drivers/proxy/proxy-signer.ts';
import { createSigningQuota, type SigningQuota } from './drivers/signing-quota.ts';
import { SignerMismatch } from './errors.ts';
import type { KeyedSigner } from './verified-signer.ts';

/** The signers of this process; `checkpoint` where checkpoints are made. */
export interface OpenSigners {
  readonly audit: KeyedSigner;
  readonly proof: KeyedSigner;
  readonly checkpoint: KeyedSigner | undefined;
}

/**
 * Opens the signers, from their files or where their keys are held. Rejects with KeyFileError or KeyError for a file or key
 * unfit for use, with SignerError when a KMS, an HSM or a proxy cannot be asked.
 */
export async function openSigners(config: {
  readonly audit: SignerConfig;
  readonly proof: SignerConfig;
  readonly checkpoint?: SignerConfig | undefined;
  readonly services: KeyServices;
}): Promise<OpenSigners> {
  const { services, ...wanted } = config;
  // The quota is the account's: all keys take from one.
  const quota = createSigningQuota({ perSecond: services.perSecond });
  const opened: KeyedSigner[] = [];
  const open = async (signer: SignerConfig): Promise<KeyedSigner> => {
    const one = signer.source === 'local' ? await openLocal(signer) : await openRemote(signer, services, quota);
    opened.push(one);
    return one;
  };
  try {
    const audit = await open(wanted.audit);
    const proof = await open(wanted.proof);
    return { audit, proof, checkpoint: wanted.checkpoint && (await open(wanted.checkpoint)) };
  } catch (error) {
    for (const one of opened) one.close?.();
    throw error;
  }
}

async function openRemote(
  config: RemoteSignerConfig,
  { kms, proxy, pkcs11 }: KeyServices,
  quota: SigningQuota,
): Promise<KeyedSigner> {
  const { signerId } = config;
  if (config.source === 'kms') {
    const ca = await optionalText(kms.caFile);
    return openKmsSigner({ signerId, keyArn: config.keyArn, endpoint: kms.endpoint, ca, quota });
  }
  if (config.source === 'pkcs11') {
    if (pkcs11 === undefined) throw new KeyError('no HSM is named');
    return openPkcs11Signer({ signerId, key: config.key, ...pkcs11, quota });
  }
  if (proxy.url === undefined) throw new KeyError('the signing proxy has no address');
  const [ca, cert] = [await optionalText(proxy.caFile), await optionalText(proxy.certFile)];
  const key = proxy.keyFile === undefined ? undefined : (await readKeyFile(proxy.keyFile)).toString('utf8');
  const client = cert === undefined || key === undefined ? undefined : { cert, key };
  return openProxySigner({ signerId, url: proxy.url, ca, client, apiKey: proxy.apiKey, quota });
}

async function openLocal({ signerId, keyFile, hmacSecret }: LocalSignerConfig): Promise<KeyedSigner> {
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

async function optionalText(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new KeyError(`${path} cannot be read`, { cause });
  }
}
