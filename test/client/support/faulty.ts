import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import root from 'tap';
import {
  type CastellanClient,
  CastellanError,
  type ClientOptions,
  createClient,
} from '../../../packages/client/src/index.ts';
import type { Tap } from '../../support/postgres.ts';
import { testCertificates } from '../../support/service.ts';

/** The TCP socket under a TLS connection, by the port of the peer: only it can be reset. */
const underTls = new Map<number, Socket>();

let certificates: Promise<string> | undefined;

/** The certificates of this test file. */
export function certsDir(): Promise<string> {
  certificates ??= testCertificates(root);
  return certificates;
}

/** One request as the server has read it. */
export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  /** Common name in the certificate of the client. */
  readonly peer: string;
}

/** What the server does with one request. */
export type Behaviour = (response: ServerResponse, seen: Seen) => unknown;

export interface Faulty {
  readonly url: string;
  readonly seen: readonly Seen[];
  /** TLS connections so far. */
  connections(): number;
  /** For the next requests, one each; after them `otherwise`. */
  script(...behaviours: readonly Behaviour[]): void;
  /** Cuts the next connections when they are made, before a request is read. */
  cutConnections(count: number): void;
  server: Server;
  close(): Promise<void>;
}

/** A server of the right name that can do everything wrong. `otherwise` answers what no script is for. */
export async function faultyServer(t: Tap, otherwise: Behaviour, port = 0): Promise<Faulty> {
  const dir = await certsDir();
  const pem = (name: string) => readFileSync(join(dir, name));
  const seen: Seen[] = [];
  const scripted: Behaviour[] = [];
  let connections = 0;
  let cuts = 0;
  const server = createServer({
    key: pem('server.key'),
    cert: pem('server.crt'),
    ca: pem('ca.crt'),
    requestCert: true,
    rejectUnauthorized: true,
  });
  server.on('connection', (socket: Socket) => {
    const port = socket.remotePort ?? 0;
    underTls.set(port, socket);
    socket.once('close', () => underTls.delete(port));
    connections += 1;
    if (cuts === 0) return;
    cuts -= 1;
    socket.destroy();
  });
  server.on('secureConnection', (socket: TLSSocket) => {
    // A client that goes away is part of the game.
    socket.on('error', () => undefined);
  });
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = [];
    request.on('error', () => undefined);
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      const { subject } = (request.socket as TLSSocket).getPeerCertificate();
      const one = { method, url, headers, body: Buffer.concat(chunks).toString(), peer: String(subject.CN) };
      seen.push(one);
      (scripted.shift() ?? otherwise)(response, one);
    });
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  };
  t.teardown(close);
  const address = server.address() as AddressInfo;
  return {
    url: `https://127.0.0.1:${address.port}`,
    seen,
    connections: () => connections,
    script: (...behaviours) => scripted.push(...behaviours),
    cutConnections: (count) => {
      cuts = count;
    },
    server,
    close,
  };
}

/** A client of these servers as an operator, closed at teardown; waits are short. */
export async function clientOf(
  t: Tap,
  servers: readonly (Faulty | string)[],
  options: Partial<ClientOptions> = {},
): Promise<CastellanClient> {
  const dir = await certsDir();
  const client = await createClient({
    serverUrls: servers.map((server) => (typeof server === 'string' ? server : server.url)),
    caCertPemRef: join(dir, 'ca.crt'),
    clientCertPemRef: join(dir, 'operator.crt'),
    clientKeyPemRef: join(dir, 'operator.key'),
    ...options,
    retry: { baseDelayMs: 1, maxDelayMs: 10, ...options.retry },
  });
  t.teardown(() => client.close());
  return client;
}

export const STATUS = {
  agentId: '01890000-0000-7000-8000-000000000000',
  mode: 'sandbox',
  status: 'running',
  managed: false,
  desiredReplicas: 1,
  readyReplicas: 1,
  since: '2026-01-01T00:00:00.000Z',
};
export const STARTED = { success: true, agentId: STATUS.agentId, status: 'running', managed: false };
export const AGENT = { params: { workspaceId: 'demo', agentId: STATUS.agentId } };

export function json(status: number, body: unknown, headers: Record<string, string> = {}): Behaviour {
  return (response) => {
    const type = status >= 400 ? 'application/problem+json' : 'application/json; charset=utf-8';
    response.writeHead(status, { 'content-type': type, ...headers }).end(JSON.stringify(body));
  };
}

export function problem(status: number, code: string, headers: Record<string, string> = {}): Behaviour {
  const document = { type: 'about:blank', title: code, status, detail: 'as scripted', instance: 'x', code };
  return json(status, document, headers);
}

/** The request was read whole, and the connection is reset instead of an answer. */
export const reset: Behaviour = (response) => {
  underTls.get(response.socket?.remotePort ?? 0)?.resetAndDestroy();
};

export const silence: Behaviour = () => undefined;

export async function failure(promise: Promise<unknown>): Promise<CastellanError> {
  const outcome = await promise.then(
    () => new Error('it succeeded'),
    (error: unknown) => error,
  );
  if (outcome instanceof CastellanError) return outcome;
  throw outcome;
}

/** ms that `work` took. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await work();
  return performance.now() - from;
}
