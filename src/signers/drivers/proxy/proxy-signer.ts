import { type Static, type TSchema, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { decodeBase64 } from '../../../crypto/base64.ts';
import { toLowS } from '../../../crypto/ecdsa.ts';
import { type SignatureAlgorithm, SignerError } from '../../../crypto/signer.ts';
import { KeyError, type VerificationKey, verificationKey } from '../../../crypto/verify.ts';
import { withAttempts } from '../attempts.ts';
import { type RemoteLimits, type RemoteSigner, remoteSigner } from '../remote-signer.ts';
import { createExchange, type Exchange, type ProxyConnection } from './exchange.ts';

/** ms for reading the key at the start. */
const OPEN_DEADLINE_MS = 10_000;

/** HMAC is left out: whoever holds the secret to verify with can sign without the proxy. */
type ProxyAlgorithm = Exclude<SignatureAlgorithm, 'HMAC-SHA256'>;

// The protocol, for whoever writes a proxy: docs/signing-proxy.md.
const KeyReply = Type.Object({
  keyId: Type.String(),
  algorithm: Type.Union([Type.Literal('Ed25519'), Type.Literal('ECDSA-P256-SHA256'), Type.Literal('RSA-PSS-SHA256')]),
  publicKey: Type.String(),
});
const SignReply = Type.Object({ keyId: Type.String(), algorithm: Type.String(), signature: Type.String() });
const DryRunReply = Type.Object({ keyId: Type.String(), algorithm: Type.String(), dryRun: Type.Literal(true) });

export interface ProxySignerOptions extends ProxyConnection, RemoteLimits {
  readonly signerId: string;
  /** The proxy's name for the key; the signerId if absent. */
  readonly keyId?: string | undefined;
  /** Must be the key's own when given. */
  readonly algorithm?: ProxyAlgorithm | undefined;
  readonly signal?: AbortSignal | undefined;
}

interface ProxyKey {
  readonly exchange: Exchange;
  readonly keyId: string;
  readonly path: string;
}

/**
 * A signer over a key that a signing proxy holds, with the public half that the proxy gives for it. Rejects with KeyError
 * for an address, credentials or a key unfit for use, with SignerError when the proxy cannot be asked.
 */
export async function openProxySigner(options: ProxySignerOptions): Promise<RemoteSigner> {
  const { signerId, keyId = signerId, algorithm } = options;
  const exchange = createExchange(options);
  const proxy: ProxyKey = { exchange, keyId, path: `/v1/keys/${encodeURIComponent(keyId)}` };
  try {
    const limits = { deadlineMs: OPEN_DEADLINE_MS, signal: options.signal };
    const key = await withAttempts((signal) => readKey(proxy, signal), limits);
    if (algorithm !== undefined && algorithm !== key.algorithm) {
      throw new KeyError(`${keyId} of the signing proxy is a key for ${key.algorithm}, not ${algorithm}`);
    }
    const remote = {
      signerId,
      key,
      signOnce: (data: Uint8Array, signal: AbortSignal) => sign(proxy, key.algorithm, data, signal),
      probeOnce: (signal: AbortSignal) => probe(proxy, key.algorithm, signal),
      close: () => exchange.close(),
    };
    return remoteSigner(remote, options);
  } catch (error) {
    exchange.close();
    throw error;
  }
}

async function readKey({ exchange, keyId, path }: ProxyKey, signal: AbortSignal): Promise<VerificationKey> {
  const reply = checked(KeyReply, await exchange.call(path, undefined, signal));
  if (reply.keyId !== keyId) throw new SignerError('signing proxy: the reply is for another key');
  return verificationKey(reply.algorithm, reply.publicKey);
}

async function sign(
  { exchange, keyId, path }: ProxyKey,
  algorithm: SignatureAlgorithm,
  data: Uint8Array,
  signal: AbortSignal,
): Promise<Buffer> {
  const request = { algorithm, message: Buffer.from(data).toString('base64') };
  const reply = checked(SignReply, await exchange.call(`${path}/sign`, request, signal));
  requireSame(reply, keyId, algorithm);
  const bytes = decodeBase64(reply.signature) ?? Buffer.alloc(0);
  const signature = algorithm === 'ECDSA-P256-SHA256' ? toLowS(bytes) : bytes;
  if (signature === undefined || signature.length === 0) throw new SignerError('signing proxy: not a signature');
  return signature;
}

async function probe(
  { exchange, keyId, path }: ProxyKey,
  algorithm: SignatureAlgorithm,
  signal: AbortSignal,
): Promise<void> {
  const reply = checked(DryRunReply, await exchange.call(`${path}/sign`, { algorithm, dryRun: true }, signal));
  requireSame(reply, keyId, algorithm);
}

function requireSame(reply: { keyId: string; algorithm: string }, keyId: string, algorithm: string): void {
  if (reply.keyId !== keyId) throw new SignerError('signing proxy: the reply is for another key');
  if (reply.algorithm !== algorithm) throw new SignerError('signing proxy: the reply is for another algorithm');
}

function checked<T extends TSchema>(schema: T, reply: unknown): Static<T> {
  if (Value.Check(schema, reply)) return reply;
  throw new SignerError('signing proxy: the reply does not have the form of the protocol');
}
