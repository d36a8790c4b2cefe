import { constants, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { TLSSocket } from 'node:tls';

import type { Tap } from './postgres.ts';

export type ProxyAlgorithm = 'Ed25519' | 'ECDSA-P256-SHA256' | 'RSA-PSS-SHA256';

/** What the proxy does wrong with each request while it is set. */
export type ProxyFault =
  | 'busy'
  | 'encoded'
  | 'endless'
  | 'forbidden'
  | 'garbage'
  | 'half-a-body'
  | 'internal-error'
  | 'no-signature'
  | 'redirect'
  | 'reset'
  | 'silence'
  | 'throttled'
  | 'wrong-algorithm'
  | 'wrong-key'
  | 'wrong-media-type'
  | 'wrong-signature';

export interface SigningProxy {
  readonly url: string;
  readonly keyId: string;
  readonly publicKey: KeyObject;
  fault: ProxyFault | undefined;
  /** Requests that `fault` is still for; then it is over by itself. */
  faultsLeft: number;
  /** Of the last connection. */
  tlsVersion: string | null;
}

interface ProxyOptions {
  readonly algorithm: ProxyAlgorithm;
  readonly keyId: string;
  /** PEM of the server, and of the authority its clients must come from. */
  readonly tls: { readonly key: string; readonly cert: string; readonly ca: string };
  /** Common name that a client certificate must have; else the API key must be right. */
  readonly peer?: string | undefined;
  readonly apiKey?: string | undefined;
  readonly maxVersion?: 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3';
}

/** A signing proxy (docs/signing-proxy.md) with one real key on loopback, until the test ends. */
export async function signingProxy(t: Tap, options: ProxyOptions): Promise<SigningProxy> {
  const { algorithm, keyId, tls, peer, apiKey, maxVersion = 'TLSv1.3' } = options;
  const { publicKey, privateKey } = newPair(algorithm);
  /** Only the TCP socket can be reset, found by the port of the peer. */
  const sockets = new Map<number, Socket>();
  const versions = {
    maxVersion,
    ...(maxVersion === 'TLSv1.1' ? { minVersion: maxVersion, ciphers: 'ALL@SECLEVEL=0' } : {}),
  };
  const server = createServer({ ...tls, ...versions, requestCert: true, rejectUnauthorized: peer !== undefined });
  server.on('connection', (socket: Socket) => {
    const port = socket.remotePort ?? 0;
    sockets.set(port, socket);
    socket.once('close', () => sockets.delete(port));
  });
  server.on('secureConnection', (socket: TLSSocket) => {
    proxy.tlsVersion = socket.getProtocol();
    // A client that goes away is part of the game.
    socket.on('error', () => undefined);
  });
  server.on('tlsClientError', () => undefined);
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    handle(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(async () => {
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });
  const { port } = server.address() as AddressInfo;
  const proxy: SigningProxy = {
    url: `https://127.0.0.1:${port}`,
    keyId,
    publicKey,
    fault: undefined,
    faultsLeft: Number.POSITIVE_INFINITY,
    tlsVersion: null,
  };
  return proxy;

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await buffer(request);
    const fault = nextFault();
    if (fault === 'silence') return;
    if (fault === 'reset') {
      sockets.get(request.socket.remotePort ?? 0)?.resetAndDestroy();
      return;
    }
    if (!isAllowed(request) || fault === 'forbidden') return answer(response, 403, { error: 'forbidden' });
    if (fault === 'busy') return answer(response, 503, {});
    if (fault === 'throttled') return answer(response, 429, {}, { 'retry-after': '0' });
    if (fault === 'internal-error') return answer(response, 500, {});
    const path = `/v1/keys/${encodeURIComponent(keyId)}`;
    if (request.method === 'GET' && request.url === path) {
      return answer(response, 200, { keyId, algorithm, publicKey: pemOf(publicKey) });
    }
    if (request.method !== 'POST' || request.url !== `${path}/sign`) return answer(response, 404, {});
    respond(response, fault, signed(JSON.parse(body.toString()) as Record<string, unknown>));
  }

  function isAllowed(request: IncomingMessage): boolean {
    const { socket } = request;
    if (peer !== undefined) return socket instanceof TLSSocket && socket.getPeerCertificate().subject.CN === peer;
    return apiKey !== undefined && request.headers.authorization === `Bearer ${apiKey}`;
  }

  function signed(body: Record<string, unknown>): Record<string, unknown> {
    if (body['algorithm'] !== algorithm) return { error: 'algorithm' };
    if (body['dryRun'] === true) return { keyId, algorithm, dryRun: true };
    const message = Buffer.from(String(body['message']), 'base64');
    return { keyId, algorithm, signature: signatureOf(algorithm, privateKey, message).toString('base64') };
  }

  function nextFault(): ProxyFault | undefined {
    if (proxy.fault === undefined || proxy.faultsLeft <= 0) return undefined;
    proxy.faultsLeft -= 1;
    return proxy.fault;
  }
}

/** The answer to a signature, spoilt as the fault says. */
function respond(response: ServerResponse, fault: ProxyFault | undefined, reply: Record<string, unknown>): void {
  const text = textOf(fault, reply);
  const type = fault === 'wrong-media-type' ? 'text/plain' : 'application/json';
  const encoding = fault === 'encoded' ? { 'content-encoding': 'gzip' } : {};
  // A redirect with a good signature in it is none, either.
  const status = fault === 'redirect' ? 307 : 200;
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text), ...encoding });
  if (fault === 'half-a-body') response.write(text.slice(0, text.length / 2), () => response.destroy());
  else response.end(text);
}

function textOf(fault: ProxyFault | undefined, reply: Record<string, unknown>): string {
  switch (fault) {
    case 'garbage':
      return '<html>{"oops":';
    case 'endless':
      return `${JSON.stringify(reply)}${' '.repeat(70_000)}`;
    case 'no-signature':
      return JSON.stringify({ ...reply, signature: '' });
    case 'wrong-key':
      return JSON.stringify({ ...reply, keyId: 'another' });
    case 'wrong-algorithm':
      return JSON.stringify({ ...reply, algorithm: 'HMAC-SHA256' });
    case 'wrong-signature':
      return JSON.stringify({ ...reply, signature: spoilt(String(reply['signature'])) });
    default:
      return JSON.stringify(reply);
  }
}

function answer(response: ServerResponse, status: number, body: object, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

function spoilt(signature: string): string {
  const bytes = Buffer.from(signature, 'base64');
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
  return bytes.toString('base64');
}

function newPair(algorithm: ProxyAlgorithm): { publicKey: KeyObject; privateKey: KeyObject } {
  if (algorithm === 'Ed25519') return generateKeyPairSync('ed25519');
  if (algorithm === 'RSA-PSS-SHA256') return generateKeyPairSync('rsa', { modulusLength: 2048 });
  return generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
}

function signatureOf(algorithm: ProxyAlgorithm, key: KeyObject, message: Buffer): Buffer {
  if (algorithm === 'Ed25519') return sign(null, message, key);
  if (algorithm === 'ECDSA-P256-SHA256') return sign('sha256', message, key);
  return sign('sha256', message, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 });
}

function pemOf(key: KeyObject): string {
  return key.export({ type: 'spki', format: 'pem' }).toString();
}
