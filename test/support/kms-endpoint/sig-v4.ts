import { createHash, createHmac } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { Refusal } from './refusal.ts';

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
}

const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=([A-Z0-9]+)\/(\d{8})\/([a-z0-9-]+)\/kms\/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$/;

/** Throws Refusal unless the request is signed (Signature Version 4) with these credentials for this region. */
export function requireSigV4(request: IncomingMessage, body: Buffer, credentials: Credentials, region: string): void {
  const { headers } = request;
  const [, keyId, day = '', signedRegion, names = '', signature] =
    AUTHORIZATION.exec(headers.authorization ?? '') ?? [];
  if (signature === undefined) throw new Refusal('MissingAuthenticationTokenException', 'Missing Authentication Token');
  const isKnown = keyId === credentials.accessKeyId && headers['x-amz-security-token'] === credentials.sessionToken;
  if (!isKnown)
    throw new Refusal('UnrecognizedClientException', 'The security token included in the request is invalid.');
  const time = String(headers['x-amz-date']);
  const signed = names.split(';').map((name) => `${name}:${headers[name]}\n`);
  const canonical = ['POST', '/', '', signed.join(''), names, hash(body)].join('\n');
  const scope = `${day}/${region}/kms/aws4_request`;
  const toSign = `AWS4-HMAC-SHA256\n${time}\n${scope}\n${hash(Buffer.from(canonical))}`;
  const key = [day, region, 'kms', 'aws4_request'].reduce<Buffer>(
    hmac,
    Buffer.from(`AWS4${credentials.secretAccessKey}`),
  );
  const isRight = hmac(key, toSign).toString('hex') === signature;
  // AWS quotes what it hashed, session token included.
  if (!isRight || signedRegion !== region)
    throw new Refusal('InvalidSignatureException', `The string was: ${canonical}`);
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

function hash(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
