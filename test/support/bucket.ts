import { createHash, createHmac } from 'node:crypto';

import type { Tap } from './postgres.ts';
import { type Answered, type Received, receiver } from './receiver.ts';

export interface Bucket {
  readonly url: string;
  /** Versions of each object, oldest first. */
  readonly objects: Map<string, { readonly body: string; readonly mode: string; readonly until: string }[]>;
  /** Answers instead of it while it is set. */
  instead: (() => Answered) | undefined;
}

interface BucketOptions {
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/**
 * An S3 bucket with object lock, as far as a PUT goes. Signatures are computed here from the specification (AWS Signature
 * Version 4), not with the code under test.
 */
export async function bucket(t: Tap, options: BucketOptions): Promise<Bucket> {
  const world: Bucket = {
    url: await receiver(t, (request) => world.instead?.() ?? put(request)),
    objects: new Map(),
    instead: undefined,
  };
  return world;

  function put(request: Received): Answered {
    const { method, path, headers, body } = request;
    const header = (name: string) => String(headers[name] ?? '');
    if (method !== 'PUT') return refused(405, 'MethodNotAllowed');
    if (!isSigned(request, options)) return refused(403, 'SignatureDoesNotMatch');
    const digests =
      header('content-md5') === digest('md5', body) && header('x-amz-checksum-sha256') === digest('sha256', body);
    if (!digests) return refused(400, 'InvalidDigest');
    const mode = header('x-amz-object-lock-mode');
    const until = header('x-amz-object-lock-retain-until-date');
    if (!['COMPLIANCE', 'GOVERNANCE'].includes(mode) || Number.isNaN(Date.parse(until)))
      return refused(400, 'InvalidArgument');
    world.objects.set(path, [...(world.objects.get(path) ?? []), { body: body.toString(), mode, until }]);
    return { status: 200 };
  }
}

function isSigned({ method, path, headers, body }: Received, options: BucketOptions): boolean {
  const shape =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/;
  const [, accessKeyId, day = '', region = '', names = '', signature] = shape.exec(headers.authorization ?? '') ?? [];
  const listed = names.split(';');
  const must = [
    'host',
    'content-md5',
    'x-amz-date',
    'x-amz-content-sha256',
    'x-amz-object-lock-mode',
    'x-amz-object-lock-retain-until-date',
  ];
  if (options.sessionToken !== undefined && headers['x-amz-security-token'] !== options.sessionToken) return false;
  if (accessKeyId !== options.accessKeyId || region !== options.region || must.some((name) => !listed.includes(name)))
    return false;
  const payload = createHash('sha256').update(body).digest('hex');
  if (headers['x-amz-content-sha256'] !== payload) return false;
  const canonical = [
    method,
    path,
    '',
    ...listed.map((name) => `${name}:${String(headers[name]).trim()}`),
    '',
    names,
    payload,
  ];
  const scope = `${day}/${region}/s3/aws4_request`;
  const hashed = createHash('sha256').update(canonical.join('\n')).digest('hex');
  const toSign = ['AWS4-HMAC-SHA256', headers['x-amz-date'], scope, hashed].join('\n');
  const mac = (key: string | Buffer, data: string) => createHmac('sha256', key).update(data).digest();
  const key = mac(mac(mac(mac(`AWS4${options.secretAccessKey}`, day), region), 's3'), 'aws4_request');
  return mac(key, toSign).toString('hex') === signature;
}

function digest(algorithm: string, body: Buffer): string {
  return createHash(algorithm).update(body).digest('base64');
}

function refused(status: number, code: string): Answered {
  return { status, body: `<?xml version="1.0"?><Error><Code>${code}</Code></Error>` };
}
