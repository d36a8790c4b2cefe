import { randomUUID } from 'node:crypto';
import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

import { PROBLEM_MEDIA_TYPE, problemDocument } from './problem.ts';
import type { ProblemCode } from './problem-table.ts';

const CLIENT_ERRORS: Readonly<Record<string, { code: ProblemCode; detail: string }>> = {
  HPE_HEADER_OVERFLOW: { code: 'HEADERS_TOO_LARGE', detail: 'The header section is too large.' },
  // RFC 9110 §15.5.9: may be repeated on a new connection, for nothing of it was done.
  ERR_HTTP_REQUEST_TIMEOUT: { code: 'REQUEST_TIMEOUT', detail: 'The request did not arrive in time.' },
};

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** The exchanges of a connection that are under way, in order, and whether what follows them was found to be no request. */
interface Connection {
  readonly underWay: Exchange[];
  /** The newest, which may have been answered before its body was there. */
  latest?: Exchange;
  failed: boolean;
}

const connections = new WeakMap<Socket, Connection>();

/** Keeps, for each connection, what answerClientError needs to know; call once, before listen. */
export function trackConnections(server: Server | HttpsServer): void {
  server.on('secureConnection', (socket: Socket) => connections.set(socket, { underWay: [], failed: false }));
}

/** The same for each request; call once, on the server that all of them get to. */
export function trackExchanges(server: Server | HttpsServer): void {
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const connection = connections.get(request.socket) ?? { underWay: [], failed: false };
    connections.set(request.socket, connection);
    const exchange = { request, response };
    connection.underWay.push(exchange);
    connection.latest = exchange;
    response.once('close', () => connection.underWay.splice(connection.underWay.indexOf(exchange), 1));
  });
}

/** Whether a connection is silent because a request of it is worked on, and not because its client does not read. */
export function awaitsAnswer(socket: Socket): boolean {
  return socket.writableLength === 0 && (connections.get(socket)?.underWay.length ?? 0) > 0;
}

/**
 * Answers what Node could not parse, once, and closes: the next byte has no meaning. Requests before it on the same connection
 * are answered first, for a client takes answers in the order of its requests: it would read the refusal of the second as
 * that of the first, which is done.
 */
export function answerClientError(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  const known = connections.get(socket);
  if (known === undefined && socket instanceof TLSSocket) {
    // Its handshake failed or never came: an answer would wait for it, and keep the connection for ever.
    socket.destroy();
    return;
  }
  const connection = known ?? { underWay: [], failed: false };
  connections.set(socket, connection);
  // More bytes of the same nonsense.
  if (connection.failed) return;
  connection.failed = true;
  afterEarlier(connection, () => refuse(error, socket, connection));
}

/** Calls `done` when all requests that have arrived in full are answered. */
function afterEarlier(connection: Connection, done: () => void): void {
  const next = connection.underWay.find(({ request }) => request.complete);
  if (next === undefined) done();
  else next.response.once('close', () => afterEarlier(connection, done));
}

function refuse(error: Error & { code?: string }, socket: Socket, { latest }: Connection): void {
  // The request whose body this was has its answer, or half of it: another would be taken for that of the next one.
  const answered = latest !== undefined && !latest.request.complete && latest.response.headersSent;
  if (!socket.writable || answered) {
    socket.destroySoon();
    return;
  }
  const known = CLIENT_ERRORS[error.code ?? ''] ?? { code: 'MALFORMED_REQUEST', detail: 'This is not valid HTTP/1.1.' };
  const id = randomUUID();
  const problem = problemDocument(known.code, known.detail, id);
  const body = JSON.stringify(problem);
  const head = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? 'Error'}`,
    `Content-Type: ${PROBLEM_MEDIA_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    `X-Request-Id: ${id}`,
    'X-Content-Type-Options: nosniff',
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}
