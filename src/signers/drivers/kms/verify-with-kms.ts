import { SignerError } from '../../../crypto/signer.ts';
import { withAttempts } from '../attempts.ts';
import { type KmsAlgorithm, requireRaw, signingAlgorithm } from './algorithms.ts';
import { connectKms, type KmsConnection } from './client.ts';
import { kmsFailure } from './failure.ts';

/** ms */
const DEADLINE_MS = 10_000;

/**
 * Whether KMS itself says that the key has made this signature: evidence that does not rest on our own code. For data of
 * up to 4,096 bytes, given to KMS as it is. Rejects with SignerError when KMS cannot be asked, KeyError for no full key ARN.
 */
export async function verifyWithKms(
  options: KmsConnection & { readonly algorithm: KmsAlgorithm },
  data: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  const { keyArn, algorithm } = options;
  requireRaw(data);
  const { sdk, client } = await connectKms(options);
  const request = new sdk.VerifyCommand({
    KeyId: keyArn,
    Message: data,
    MessageType: 'RAW',
    Signature: signature,
    SigningAlgorithm: signingAlgorithm(algorithm),
  });

  async function ask(abortSignal: AbortSignal): Promise<boolean> {
    try {
      const reply = await client.send(request, { abortSignal });
      if (reply.KeyId === keyArn && reply.SigningAlgorithm === signingAlgorithm(algorithm))
        return reply.SignatureValid === true;
    } catch (error) {
      if (error instanceof sdk.KMSInvalidSignatureException) return false;
      throw kmsFailure('Verify', error);
    }
    throw new SignerError('KMS Verify: the reply is for another key or algorithm');
  }

  try {
    return await withAttempts(ask, { deadlineMs: DEADLINE_MS });
  } finally {
    client.destroy();
  }
}
