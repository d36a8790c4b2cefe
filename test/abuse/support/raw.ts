import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as connectTcp, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';

import type { TestService } from '../../support/service.ts';
import type { Caller } from './client.ts';

/** ms. */
const CLOSED_WITHIN = 3_000;
/** ms without a byte after which nothing more is expected on a connection that stays open. */
const QUIET = 600;

export interface RawAnswer {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

export interface Exchange {
  readonly answers: readonly RawAnswer[];
  /** What came after the last whole answer. */
  readonly rest: string;
  readonly closed: boolean;
}

/** A TLS connection as one of the identities, once its handshake is over. Errors of the connection end it, nothing else. */
export async function openRaw({ service, certsDir }: TestService, who: Caller): Promise<TLSSocket> {
  const pem = (name: string) => readFileSync(join(certsDir, name));
  const { hostname, port } = new URL(service.apiUrl);
  const socket = connect({
    host: hostname,
    port: Number(port),
    ca: pem('ca.crt'),
    cert: pem(`${who}.crt`),
    key: pem(`${who}.key`),
  });
  await once(socket, 'secureConnect');
  socket.on('error', () => socket.destroy());
  return socket;
}

/** A connection without TLS. */
export async function openTcp({ service }: TestService): Promise<Socket> {
  const { hostname, port } = new URL(service.apiUrl);
  const socket = connectTcp(Number(port), hostname);
  await once(socket, 'connect');
  socket.on('error', () => socket.destroy());
  return socket;
}

/** Sends the bytes at once and reads until the service closes, or says nothing more to a whole last answer. */
export async function exchange(socket: Socket, bytes: Buffer): Promise<Exchange> {
  const chunks: Buffer[] = [];
  const { promise: closed, resolve } = Promise.withResolvers<boolean>();
  const late = setTimeout(resolve, CLOSED_WITHIN, false);
  let quiet: NodeJS.Timeout | undefined;
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    clearTimeout(quiet);
    quiet = setTimeout(resolve, QUIET, false);
  });
  // The end of what the service says; what of ours is still on its way does not matter.
  for (const event of ['end', 'close', 'error']) socket.once(event, () => resolve(true));
  socket.write(bytes);
  const isClosed = await closed;
  clearTimeout(late);
  clearTimeout(quiet);
  socket.destroy();
  return { ...parseAnswers(Buffer.concat(chunks).toString('latin1')), closed: isClosed };
}

/** Splits a connection's bytes into answers, by Content-Length alone: the service sends nothing else. */
function parseAnswers(text: string): { answers: RawAnswer[]; rest: string } {
  const answers: RawAnswer[] = [];
  let rest = text;
  for (let end = rest.indexOf('\r\n\r\n'); end !== -1; end = rest.indexOf('\r\n\r\n')) {
    const [first = '', ...lines] = rest.slice(0, end).split('\r\n');
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(first)?.[1]);
    if (!Number.isInteger(status)) break;
    const headers = new Map(
      lines.map((line) => [line.split(':')[0]?.toLowerCase() ?? '', line.replace(/^[^:]*: */, '')]),
    );
    const length = Number(headers.get('content-length') ?? 0);
    const body = rest.slice(end + 4, end + 4 + length);
    if (body.length < length) break;
    answers.push({ status, headers, body });
    rest = rest.slice(end + 4 + length);
  }
  return { answers, rest };
}
