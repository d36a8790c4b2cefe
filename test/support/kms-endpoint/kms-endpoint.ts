import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';

import type { Tap } from '../postgres.ts';
import { type EndpointKey, newKey, type Spec } from './keys.ts';
import { type Input, OPERATIONS, type Operation, type Reply } from './operations.ts';
import { Refusal } from './refusal.ts';
import { type Credentials, requireSigV4 } from './sig-v4.ts';

const REGION = 'eu-central-1';
const TARGET = 'TrentService.';
const MEDIA_TYPE = 'application/x-amz-json-1.1';

/** What the endpoint does wrong with each request while it is set. */
export type KmsFault =
  | 'access-denied'
  | 'garbage'
  | 'half-a-body'
  | 'internal-error'
  | 'no-signature'
  | 'reset'
  | 'silence'
  | 'throttled'
  | 'token-quoted'
  | 'too-many-requests'
  | 'wrong-algorithm'
  | 'wrong-key'
  | 'wrong-signature';

/** A KMS of one region with real keys, speaking AWS JSON 1.1. */
export interface KmsEndpoint {
  readonly url: string;
  readonly region: string;
  /** In the environment of the SDK these open it. */
  readonly credentials: Credentials;
  createKey(spec: Spec, usage?: string): EndpointKey;
  /** What an administrator does; DescribeKey still answers. */
  disableKey(arn: string): void;
  enableKey(arn: string): void;
  fault: KmsFault | undefined;
  /** Requests that `fault` is still for; then it is over by itself. */
  faultsLeft: number;
  /** ms before each answer. */
  latencyMs: number;
  /** Requests a second; those beyond are throttled. */
  perSecond: number;
  /** Requests with a good signature so far, by operation; `throttled` counts apart. */
  readonly counts: Record<Operation | 'throttled', number>;
  /** Made so far; a dry run makes none. */
  signatures: number;
  close(): Promise<void>;
}

/** Listens on loopback until the test ends, over TLS with `tls`. */
export async function kmsEndpoint(t: Tap, tls?: { readonly key: string; readonly cert: string }): Promise<KmsEndpoint> {
  const keys = new Map<string, EndpointKey>();
  const server = tls === undefined ? createServer() : createTlsServer(tls);
  /** Under TLS only the TCP socket can be reset, found by the port of the peer. */
  const sockets = new Map<number, Socket>();
  let second = { at: 0, requests: 0 };

  server.on('connection', (socket: Socket) => {
    const port = socket.remotePort ?? 0;
    sockets.set(port, socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(port));
  });
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    // A client that goes away is part of the game.
    handle(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;

  const endpoint: KmsEndpoint = {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    region: REGION,
    credentials: {
      accessKeyId: 'AKIATESTTESTTESTTEST',
      secretAccessKey: 'secret-access-key-of-the-test-endpoint',
      sessionToken: 'session-token-of-the-test-endpoint',
    },
    createKey(spec, usage) {
      const key = newKey(spec, REGION, usage);
      keys.set(key.arn, key);
      return key;
    },
    disableKey: (arn) => setState(arn, 'Disabled'),
    enableKey: (arn) => setState(arn, 'Enabled'),
    fault: undefined,
    faultsLeft: Number.POSITIVE_INFINITY,
    latencyMs: 0,
    perSecond: Number.POSITIVE_INFINITY,
    counts: { DescribeKey: 0, GetPublicKey: 0, Sign: 0, Verify: 0, GenerateMac: 0, VerifyMac: 0, throttled: 0 },
    signatures: 0,
    async close() {
      if (!server.listening) return;
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
  t.teardown(() => endpoint.close());
  return endpoint;

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await buffer(request);
    const fault = nextFault();
    if (endpoint.latencyMs > 0) await delay(endpoint.latencyMs);
    if (fault === 'silence') return;
    if (fault === 'reset') {
      sockets.get(request.socket.remotePort ?? 0)?.resetAndDestroy();
      return;
    }
    try {
      const { operation, input } = read(request, body);
      refuse(fault, request);
      const key = find(input['KeyId']);
      const reply = OPERATIONS[operation](key, input);
      if (operation === 'Sign') endpoint.signatures += 1;
      send(response, 200, spoilt(fault, operation, reply), fault);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      send(response, error.status, { __type: error.type, message: error.message });
    }
  }

  function read(request: IncomingMessage, body: Buffer): { operation: Operation; input: Input } {
    requireSigV4(request, body, endpoint.credentials, REGION);
    const target = String(request.headers['x-amz-target']);
    const operation = target.startsWith(TARGET) ? operationOf(target.slice(TARGET.length)) : undefined;
    if (request.method !== 'POST' || request.url !== '/' || operation === undefined) {
      throw new Refusal('UnknownOperationException', target);
    }
    if (request.headers['content-type'] !== MEDIA_TYPE) throw new Refusal('SerializationException', 'content type');
    endpoint.counts[operation] += 1;
    throttle();
    return { operation, input: JSON.parse(body.toString()) as Input };
  }

  function throttle(): void {
    const at = Math.floor(performance.now() / 1000);
    if (second.at !== at) second = { at, requests: 0 };
    second.requests += 1;
    if (second.requests <= endpoint.perSecond) return;
    endpoint.counts.throttled += 1;
    throw new Refusal('ThrottlingException', 'You have exceeded the rate at which you may call KMS.');
  }

  function nextFault(): KmsFault | undefined {
    if (endpoint.fault === undefined) return undefined;
    if (endpoint.faultsLeft <= 0) return undefined;
    endpoint.faultsLeft -= 1;
    return endpoint.fault;
  }

  function find(keyId: unknown): EndpointKey {
    const key = keys.get(String(keyId));
    if (key === undefined) throw new Refusal('NotFoundException', `Key '${keyId}' does not exist`);
    return key;
  }

  function setState(arn: string, state: EndpointKey['state']): void {
    find(arn).state = state;
  }
}

/** Faults that KMS has an exception for. */
function refuse(fault: KmsFault | undefined, request: IncomingMessage): void {
  if (fault === 'access-denied')
    throw new Refusal('AccessDeniedException', 'User: arn:aws:iam::111122223333:user/x is not authorized');
  if (fault === 'token-quoted') throw new Refusal('InvalidSignatureException', JSON.stringify(request.headers), 403);
  if (fault === 'throttled') throw new Refusal('ThrottlingException', 'Rate exceeded');
  if (fault === 'too-many-requests') throw new Refusal('TooManyRequestsException', 'Rate exceeded', 429);
  if (fault === 'internal-error') throw new Refusal('KMSInternalException', '', 500);
}

/** Answers of somebody who stands between, or of a KMS that has gone wrong. */
function spoilt(fault: KmsFault | undefined, operation: Operation, reply: Reply): Reply {
  if (operation !== 'Sign') return reply;
  if (fault === 'wrong-key') return { ...reply, KeyId: newKey('ECC_NIST_EDWARDS25519', REGION).arn };
  if (fault === 'wrong-algorithm') return { ...reply, SigningAlgorithm: 'ECDSA_SHA_512' };
  if (fault === 'no-signature') return { ...reply, Signature: undefined };
  if (fault !== 'wrong-signature') return reply;
  const signature = Buffer.from(String(reply['Signature']), 'base64');
  signature.writeUInt8(signature.readUInt8(signature.length - 1) ^ 1, signature.length - 1);
  return { ...reply, Signature: signature.toString('base64') };
}

function send(response: ServerResponse, status: number, reply: Reply, fault?: KmsFault): void {
  const text = fault === 'garbage' ? '<html>{"oops":' : JSON.stringify(reply);
  const headers = {
    'content-type': MEDIA_TYPE,
    'content-length': Buffer.byteLength(text),
    'x-amzn-requestid': crypto.randomUUID(),
  };
  response.writeHead(status, headers);
  if (fault !== 'half-a-body') {
    response.end(text);
    return;
  }
  response.write(text.slice(0, text.length / 2), () => response.destroy());
}

function operationOf(name: string): Operation | undefined {
  return Object.hasOwn(OPERATIONS, name) ? (name as Operation) : undefined;
}
