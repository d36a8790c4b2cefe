import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

import { forward } from './forward.ts';
import { refuse, refuseRequest } from './refuse.ts';
import type { EgressSession } from './session.ts';
import { tunnel } from './tunnel.ts';

const MAX_HEAD_BYTES = 16_384;
const MAX_HEADERS = 128;
const UNKNOWN = [407, 'PROXY_AUTHENTICATION_REQUIRED', 'proxy-authenticate: Basic realm="egress"'] as const;

/** Speaks the proxy's HTTP on sockets that others accept. */
export interface EgressFront {
  serve(socket: Duplex): void;
  close(): void;
}

export interface FrontOptions {
  /** Whose request that is; undefined: nobody's, and it is refused with 407. */
  readonly sessionOf: (request: IncomingMessage) => EgressSession | undefined;
  /** Sockets open at once. */
  readonly sockets: number;
  /** Until the head of a request is there. */
  readonly headMs: number;
}

/**
 * The parser and the writer are Node's own: what goes on to a host is written anew from what was understood, never copied.
 * One request at a time on a connection: who sends a second one before the answer to the first is cut off.
 */
export function createFront({ sessionOf, sockets: maxSockets, headMs }: FrontOptions): EgressFront {
  const sockets = new Map<Duplex, HeadWait>();
  const busy = new WeakSet<Duplex>();
  // Its own time limits hold only for sockets that it accepted itself; here they are HeadWait and the idle limit.
  const server = createServer({ maxHeaderSize: MAX_HEAD_BYTES, keepAliveTimeout: 0, requestTimeout: 0 });
  server.maxHeadersCount = MAX_HEADERS;
  // Relays end their side with the request. Not among the documented properties: Node would end the other side as well.
  Object.assign(server, { httpAllowHalfOpen: true });

  const begins = (socket: Duplex): boolean => {
    if (busy.has(socket)) {
      socket.destroy();
      return false;
    }
    busy.add(socket);
    sockets.get(socket)?.stop();
    return true;
  };
  const onRequest = (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request;
    if (!begins(socket)) return;
    const session = sessionOf(request);
    if (session === undefined) return refuseRequest(request, ...UNKNOWN);
    response.once('finish', () => {
      // The rest of a body that nobody waits for.
      if (!request.complete) socket.destroy();
      busy.delete(socket);
      sockets.get(socket)?.again();
    });
    inTurn(session, socket, () => void forward(request, response, session));
  };
  server.on('request', onRequest);
  server.on('checkContinue', onRequest);
  server.on('connect', (request, socket, head) => {
    if (!begins(socket)) return;
    const session = sessionOf(request);
    if (session === undefined) refuse(socket, ...UNKNOWN);
    else inTurn(session, socket, () => void tunnel(request, socket, head, session));
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    // It was refused already, and still sends.
    if (!socket.writable) return;
    if (busy.has(socket)) socket.destroy();
    else if (error.code === 'HPE_HEADER_OVERFLOW') refuse(socket, 431, 'HEAD_TOO_LARGE');
    else refuse(socket, 400, 'BAD_REQUEST');
  });

  return {
    serve: (socket) => {
      socket.on('error', () => undefined);
      // Without an answer: one would have to be waited for, and that is what there is no place for.
      if (sockets.size >= maxSockets) return void socket.destroy();
      const wait = waitForHead(socket, headMs);
      sockets.set(socket, wait);
      socket.once('close', () => {
        wait.stop();
        sockets.delete(socket);
      });
      server.emit('connection', socket);
    },
    close: () => {
      for (const socket of [...sockets.keys()]) socket.destroy();
    },
  };
}

/** What has gone meanwhile is nobody's request any more. */
function inTurn(session: EgressSession, socket: Duplex, work: () => void): void {
  const ms = session.nextTurn();
  const begin = () => {
    if (!socket.destroyed) work();
  };
  if (ms === 0) begin();
  else setTimeout(begin, ms).unref();
}

interface HeadWait {
  stop(): void;
  /** For a further request on the same connection. */
  again(): void;
}

/** Ends a socket on which no whole head comes in time. */
function waitForHead(socket: Duplex, headMs: number): HeadWait {
  let timer = setTimeout(() => refuse(socket, 408, 'TIMEOUT'), headMs).unref();
  return {
    stop: () => clearTimeout(timer),
    again: () => {
      clearTimeout(timer);
      timer = setTimeout(() => socket.destroy(), headMs).unref();
    },
  };
}
