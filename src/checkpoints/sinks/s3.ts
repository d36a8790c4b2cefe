import { createHash, createHmac } from 'node:crypto';

import type { Clock } from '../../clock.ts';
import { CheckpointError } from '../errors.ts';
import { exchange } from './exchange.ts';
import type { Sink } from './sink.ts';

const DAY_MS = 86_400_000;
/** Of the object's name, so that names sort as sizes do. */
const SIZE_DIGITS = 16;

export interface S3Config {
  /** Endpoint, bucket and prefix: https://s3.eu-central-1.amazonaws.com/bucket/prefix. */
  readonly url: string;
  readonly region: string;
  /** Absent: what the SDK's default chain finds. */
  readonly credentials: S3Credentials | undefined;
  readonly lockMode: 'COMPLIANCE' | 'GOVERNANCE';
  readonly retentionDays: number;
}

interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

/**
 * PUTs each note as an object that nobody can remove before its time (object lock); the bucket must have it on. A note that
 * comes again becomes a further version of the same object.
 */
export function s3Sink(config: S3Config, clock: Clock): Sink {
  let credentials: (() => Promise<S3Credentials>) | undefined;
  return {
    name: 's3',
    deliver: async ({ size, note }, signal) => {
      credentials ??= await credentialsOf(config);
      const url = new URL(config.url);
      url.pathname = `${url.pathname.replace(/\/+$/, '')}/checkpoint-${`${size}`.padStart(SIZE_DIGITS, '0')}`;
      const headers = await signed(url, note, config, await credentials(), clock());
      const { status, body } = await exchange(url.href, { method: 'PUT', headers, body: note }, signal);
      if (status === 200) return;
      throw new CheckpointError('SINK_FAILED', `the bucket answered ${status} ${codeIn(body)}`);
    },
  };
}

async function signed(url: URL, body: string, config: S3Config, credentials: S3Credentials, now: number) {
  const { SignatureV4 } = await import('@smithy/signature-v4');
  const { accessKeyId, secretAccessKey, sessionToken } = credentials;
  const signer = new SignatureV4({
    service: 's3',
    region: config.region,
    credentials: { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) },
    sha256: Sha256,
    uriEscapePath: false,
  });
  const request = {
    method: 'PUT',
    protocol: url.protocol,
    hostname: url.hostname,
    path: url.pathname,
    headers: {
      host: url.host,
      'content-type': 'text/plain; charset=utf-8',
      // A locked object is taken only with a digest of its content.
      'content-md5': createHash('md5').update(body).digest('base64'),
      'x-amz-checksum-sha256': createHash('sha256').update(body).digest('base64'),
      'x-amz-object-lock-mode': config.lockMode,
      'x-amz-object-lock-retain-until-date': new Date(now + config.retentionDays * DAY_MS).toISOString(),
    },
    body,
  };
  const { headers } = await signer.sign(request, { signingDate: new Date(now) });
  const { host: _own, ...sent } = headers;
  return sent;
}

async function credentialsOf({ region, credentials }: S3Config): Promise<() => Promise<S3Credentials>> {
  if (credentials !== undefined) return async () => credentials;
  const { KMSClient } = await import('@aws-sdk/client-kms');
  return new KMSClient({ region }).config.credentials;
}

/** The code in the XML of an error, to be shown; nothing else of it. */
function codeIn(body: Uint8Array): string {
  return /<Code>([A-Za-z0-9.]{1,64})<\/Code>/.exec(Buffer.from(body).toString('utf8'))?.[1] ?? '';
}

interface Digest {
  update(data: Uint8Array | string): unknown;
  digest(): Buffer;
}

/** SHA-256, keyed when there is a secret, in the form the signer asks for. */
class Sha256 {
  readonly #secret: Uint8Array | string | undefined;
  #hash: Digest;

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#secret = secret === undefined ? undefined : bytesOf(secret);
    this.#hash = this.#begin();
  }

  update(data: string | ArrayBuffer | ArrayBufferView): void {
    this.#hash.update(bytesOf(data));
  }

  digest(): Promise<Uint8Array> {
    return Promise.resolve(this.#hash.digest());
  }

  reset(): void {
    this.#hash = this.#begin();
  }

  #begin(): Digest {
    return this.#secret === undefined ? createHash('sha256') : createHmac('sha256', this.#secret);
  }
}

function bytesOf(data: string | ArrayBuffer | ArrayBufferView): Uint8Array | string {
  if (typeof data === 'string') return data;
  return ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data);
}
