import { createServer, type IncomingHttpHeaders } from 'node:http';
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

/** A server on loopback that answers as it is told, until the test ends. */
export async function receiver(t: Tap, answer: (request: Received) => Answered | Promise<Answered>): Promise<string> {
  const server = createServer(async (request, response) => {
    const { method = '', url = '', headers } = request;
    const {
      status,
      headers: sent = {},
      body,
    } = await answer({ method, path: url, headers, body: await buffer(request) });
    response.writeHead(status, sent).end(body);
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', resolve);
  await promise;
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  // `listen` was given a host and a port.
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
