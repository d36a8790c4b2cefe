import type { KMSClient } from '@aws-sdk/client-kms';
import { KeyError } from '../../../crypto/verify.ts';
import { regionOfKeyArn } from './key-arn.ts';

/** Connections to the KMS at most: 800 signatures a second at 60 ms each keep 48 of them busy. */
const MAX_SOCKETS = 64;
const LOOPBACK: ReadonlySet<string> = new Set(['127.0.0.1', '[::1]', 'localhost']);

export interface KmsConnection {
  /** The full key ARN; an alias or a bare id is refused. */
  readonly keyArn: string;
  /** Must be the ARN's own when given. */
  readonly region?: string | undefined;
  /** For a VPC endpoint; https, or http on loopback. The region's own if absent. */
  readonly endpoint?: string | undefined;
  /** PEM of the authorities to trust for `endpoint`; the runtime's own if absent. */
  readonly ca?: string | undefined;
}

/** The SDK, loaded only by who uses a KMS. */
export type KmsSdk = typeof import('@aws-sdk/client-kms');

/** A client for the key's own region with credentials of the SDK's default chain. KeyError for a wrong ARN or endpoint. */
export async function connectKms(options: KmsConnection): Promise<{ sdk: KmsSdk; client: KMSClient }> {
  const region = regionOfKeyArn(options.keyArn, options.region);
  const endpoint = options.endpoint === undefined ? {} : { endpoint: safeEndpoint(options.endpoint) };
  const sdk = await import('@aws-sdk/client-kms');
  const client = new sdk.KMSClient({
    region,
    ...endpoint,
    // We try again ourselves: the SDK knows neither our deadline nor the quota.
    maxAttempts: 1,
    requestHandler: {
      httpAgent: { maxSockets: MAX_SOCKETS },
      httpsAgent: { maxSockets: MAX_SOCKETS, ...(options.ca === undefined ? {} : { ca: options.ca }) },
    },
  });
  return { sdk, client };
}

function safeEndpoint(text: string): string {
  const url = URL.parse(text);
  if (url === null || url.username !== '' || url.password !== '')
    throw new KeyError('the KMS endpoint is not a plain URL');
  if (url.protocol === 'https:' || (url.protocol === 'http:' && LOOPBACK.has(url.hostname))) return url.href;
  throw new KeyError(`the KMS endpoint ${url.origin} is not https`);
}
