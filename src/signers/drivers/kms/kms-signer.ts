import { createPublicKey } from 'node:crypto';
import type { KMSClient, SignCommandInput } from '@aws-sdk/client-kms';
import { toLowS } from '../../../crypto/ecdsa.ts';
import { SignerError } from '../../../crypto/signer.ts';
import { KeyError, type VerificationKey, verificationKey } from '../../../crypto/verify.ts';
import { withAttempts } from '../attempts.ts';
import { type RemoteLimits, type RemoteSigner, remoteSigner } from '../remote-signer.ts';
import { algorithmOf, type KmsAlgorithm, maxBytesOf, messageOf, signingAlgorithm } from './algorithms.ts';
import { connectKms, type KmsConnection, type KmsSdk } from './client.ts';
import { kmsFailure } from './failure.ts';

/** ms for reading the key at the start, where credentials are fetched for the first time. */
const OPEN_DEADLINE_MS = 10_000;
/** What a probe asks for, and KMS never signs. */
const PROBE = Buffer.from('castellan: would you sign?');

export interface KmsSignerOptions extends KmsConnection, RemoteLimits {
  readonly signerId: string;
  /** Must be the key's own when given. */
  readonly algorithm?: KmsAlgorithm | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** One key behind one client. */
interface KmsKey {
  readonly sdk: KmsSdk;
  readonly client: KMSClient;
  readonly keyArn: string;
}

/**
 * A signer over an asymmetric key of AWS KMS, with the public half that KMS gives for it. Rejects with KeyError for a key
 * unfit for signing, with SignerError when KMS cannot be asked or the key is not enabled.
 */
export async function openKmsSigner(options: KmsSignerOptions): Promise<RemoteSigner> {
  const kms: KmsKey = { ...(await connectKms(options)), keyArn: options.keyArn };
  const { client } = kms;
  try {
    const limits = { deadlineMs: OPEN_DEADLINE_MS, signal: options.signal };
    const algorithm = await withAttempts((signal) => describe(kms, options.algorithm, signal), limits);
    const key = await withAttempts((signal) => publicKey(kms, algorithm, signal), limits);
    const remote = {
      signerId: options.signerId,
      key,
      maxBytes: maxBytesOf(algorithm),
      signOnce: (data: Uint8Array, signal: AbortSignal) => sign(kms, algorithm, data, signal),
      probeOnce: (signal: AbortSignal) => probe(kms, algorithm, signal),
      close: () => client.destroy(),
    };
    return remoteSigner(remote, options);
  } catch (error) {
    client.destroy();
    throw error;
  }
}

async function describe(
  { sdk, client, keyArn }: KmsKey,
  wanted: KmsAlgorithm | undefined,
  abortSignal: AbortSignal,
): Promise<KmsAlgorithm> {
  const { KeyMetadata: key } = await client
    .send(new sdk.DescribeKeyCommand({ KeyId: keyArn }), { abortSignal })
    .catch(fail('DescribeKey'));
  requireKey(key?.Arn, keyArn, 'DescribeKey');
  if (key?.KeyUsage !== 'SIGN_VERIFY') throw new KeyError(`${keyArn} is for ${key?.KeyUsage}, not for SIGN_VERIFY`);
  const algorithm = algorithmOf(key.KeySpec);
  if (algorithm === undefined) throw new KeyError(`${keyArn}: keys of spec ${key.KeySpec} are not used here`);
  if (wanted !== undefined && wanted !== algorithm)
    throw new KeyError(`${keyArn} is a key for ${algorithm}, not ${wanted}`);
  if (key.KeyState !== 'Enabled') throw new SignerError(`${keyArn} is ${key.KeyState}`);
  return algorithm;
}

async function publicKey(
  { sdk, client, keyArn }: KmsKey,
  algorithm: KmsAlgorithm,
  abortSignal: AbortSignal,
): Promise<VerificationKey> {
  const reply = await client
    .send(new sdk.GetPublicKeyCommand({ KeyId: keyArn }), { abortSignal })
    .catch(fail('GetPublicKey'));
  requireKey(reply.KeyId, keyArn, 'GetPublicKey');
  if (!reply.SigningAlgorithms?.includes(signingAlgorithm(algorithm))) {
    throw new KeyError(`${keyArn} does not sign with ${signingAlgorithm(algorithm)}`);
  }
  return verificationKey(algorithm, pemOf(reply.PublicKey ?? Buffer.alloc(0)));
}

async function sign(
  { sdk, client, keyArn }: KmsKey,
  algorithm: KmsAlgorithm,
  data: Uint8Array,
  abortSignal: AbortSignal,
): Promise<Buffer> {
  const request = new sdk.SignCommand(signRequest(keyArn, algorithm, data));
  const reply = await client.send(request, { abortSignal }).catch(fail('Sign'));
  requireKey(reply.KeyId, keyArn, 'Sign');
  if (reply.SigningAlgorithm !== signingAlgorithm(algorithm))
    throw new SignerError('KMS Sign: the reply is for another algorithm');
  // KMS does not promise the lower S.
  const raw = reply.Signature ?? Buffer.alloc(0);
  const signature = algorithm === 'ECDSA-P256-SHA256' ? toLowS(raw) : Buffer.from(raw);
  if (signature === undefined || signature.length === 0) throw new SignerError('KMS Sign: the reply has no signature');
  return signature;
}

/** KMS checks the key's state and the permission, and answers with an exception that says it would have signed. */
async function probe(
  { sdk, client, keyArn }: KmsKey,
  algorithm: KmsAlgorithm,
  abortSignal: AbortSignal,
): Promise<void> {
  const request = new sdk.SignCommand({ ...signRequest(keyArn, algorithm, PROBE), DryRun: true });
  try {
    await client.send(request, { abortSignal });
  } catch (error) {
    if (error instanceof sdk.DryRunOperationException) return;
    throw kmsFailure('Sign (dry run)', error);
  }
  throw new SignerError('KMS Sign: a dry run was answered with a signature');
}

function signRequest(keyArn: string, algorithm: KmsAlgorithm, data: Uint8Array): SignCommandInput {
  return { KeyId: keyArn, SigningAlgorithm: signingAlgorithm(algorithm), ...messageOf(algorithm, data) };
}

/** The reply of whoever stands between, or of an alias that was pointed elsewhere, is not taken. */
function requireKey(found: string | undefined, keyArn: string, operation: string): void {
  if (found !== keyArn) throw new SignerError(`KMS ${operation}: the reply is for another key than ${keyArn}`);
}

function pemOf(spki: Uint8Array): string {
  try {
    const key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
    return key.export({ type: 'spki', format: 'pem' }).toString();
  } catch (cause) {
    throw new KeyError('KMS GetPublicKey: not a readable public key', { cause });
  }
}

function fail(operation: string): (error: unknown) => never {
  return (error) => {
    throw kmsFailure(operation, error);
  };
}
