import { createServer, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';

import { forward } from './forward.ts';
import type { EgressSession } from './session.ts';
import { refuse, tunnel } from './tunnel.ts';

const MAX_HEAD_BYTES = 16_384;
const MAX_HEADERS = 128;

/** Speaks the proxy's HTTP on sockets that others accept. */
export interface EgressFront {
  serve(socket: Duplex): void;
  /** Sockets that are open. */
  readonly size: number;
  close(): void;
}

export interface FrontOptions {
  /** Whose request that is; undefined: nobody's, and it is refused with 407. */
  readonly sessionOf: (request: IncomingMessage) => EgressSession | undefined;
  readonly sockets: number;
  readonly headMs: number;
}

/**
 * The parser and the writer are Node's own: what goes on to a host is written anew from what was understood, never copied.
 * One request at a time on a connection: who sends a second before the answer to the first is cut off.
 */
export function createFront({ sessionOf, sockets: maxSockets, headMs }: FrontOptions): EgressFront {
  const sockets = new Set<Duplex>();
  const waits = new WeakMap<Duplex, { start(): void; stop(): void }>();
  const busy = new WeakSet<Duplex>();
  // Its own time limits hold only for sockets that it accepted itself; those here are `waits` and the idle limit.
  const server = createServer({ maxHeaderSize: MAX_HEAD_BYTES, keepAliveTimeout: 0, requestTimeout: 0 });
  server.maxHeadersCount = MAX_HEADERS;

  const begins = (socket: Duplex): boolean => {
    if (busy.has(socket)) {
      socket.destroy();
      return false;
    }
    busy.add(socket);
    waits.get(socket)?.stop();
    return true;
  };

  const onRequest = (request: IncomingMessage, response: Parameters<typeof forward>[1]) => {
    const { socket } = request;
    if (!begins(socket)) return;
    const session = sessionOf(request);
    if (session === undefined) {
      refuse(socket, 407, 'PROXY_AUTHENTICATION_REQUIRED');
      return;
    }
    response.once('finish', () => {
      // What is left of a body nobody wants; there is no end to it that we would wait for.
      if (!request.complete) socket.destroy();
      busy.delete(socket);
      waits.get(socket)?.start();
    });
    void forward(request, response, session);
  };
  server.on('request', onRequest);
  server.on('checkContinue', onRequest);
  server.on('connect', (request, socket, head) => {
    if (!begins(socket)) return;
    const session = sessionOf(request);
    if (session === undefined) refuse(socket, 407, 'PROXY_AUTHENTICATION_REQUIRED');
    else void tunnel(request, socket, head, session);
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const [status, code] = error.code === 'HPE_HEADER_OVERFLOW' ? [431, 'HEAD_TOO_LARGE'] : [400, 'BAD_REQUEST'];
    if (busy.has(socket)) socket.destroy();
    else refuse(socket, status, code);
  });

  return {
    serve: (socket) => {
      socket.on('error', () => undefined);
      if (sockets.size >= maxSockets) {
        refuse(socket, 503, 'TOO_MANY_CONNECTIONS');
        return;
      }
      sockets.add(socket);
      const wait = headWait(socket, headMs);
      waits.set(socket, wait);
      socket.once('close', () => {
        wait.stop();
        sockets.delete(socket);
      });
      server.emit('connection', socket);
    },
    get size() {
      return sockets.size;
    },
    close: () => {
      for (const socket of [...sockets]) socket.destroy();
    },
  };
}

/** Ends a socket on which no whole head comes in time. */
function headWait(socket: Duplex, headMs: number) {
  const begin = () => setTimeout(() => refuse(socket, 408, 'TIMEOUT'), headMs).unref();
  let timer = begin();
  return {
    start: () => {
      clearTimeout(timer);
      timer = begin();
    },
    stop: () => clearTimeout(timer),
  };
}
