import { createServer, type IncomingHttpHeaders, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

import type { Tap } from './postgres.ts';

export interface Received {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface Answered {
  readonly status: number;
  readonly headers?: Record<string, string>;
  readonly body?: string | Buffer;
}

/** A server on loopback that answers as it is told, until the test ends; over TLS where it is given a key and a certificate. */
export async function receiver(
  t: Tap,
  answer: (request: Received) => Answered | Promise<Answered>,
  tls?: { readonly key: string; readonly cert: string },
): Promise<string> {
  const listener: RequestListener = async (request, response) => {
    const { method = '', url = '', headers } = request;
    const {
      status,
      headers: sent = {},
      body,
    } = await answer({ method, path: url, headers, body: await buffer(request) });
    response.writeHead(status, sent).end(body);
  };
  const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', resolve);
  await promise;
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  // `listen` was given a host and a port.
  return `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
