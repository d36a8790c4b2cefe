import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { TLSSocket } from 'node:tls';

import type { Tap } from '../support/postgres.ts';

/** What the Kernel does wrong while it is set. */
export type KernelFault =
  | 'endless'
  | 'encoded'
  | 'error'
  | 'half'
  | 'html'
  | 'no-json'
  | 'redirect'
  | 'silence'
  | 'twice';

export interface TestKernel {
  readonly url: string;
  /** Entries by signerId, as they are answered. */
  readonly entries: Map<string, Readonly<Record<string, unknown>>>;
  /** Paths that were asked for. */
  readonly asked: string[];
  fault: KernelFault | undefined;
  /** While it is set, an answer waits for it. */
  gate: Promise<void> | undefined;
  /** Resolves when something was asked for. */
  nextQuestion(): Promise<void>;
}

export const TOKEN = 'a-token-of-the-kernel';

/** The Kernel's API (docs/identity.md) over TLS on loopback, for clients with a certificate of `certsDir` and the token. */
export async function testKernel(t: Tap, certsDir: string): Promise<TestKernel> {
  const pem = (name: string) => readFileSync(join(certsDir, name));
  const tls = { key: pem('server.key'), cert: pem('server.crt'), ca: pem('ca.crt') };
  let waiting: (() => void)[] = [];
  const server = createServer({ ...tls, requestCert: true, rejectUnauthorized: false }, (request, response) => {
    kernel.asked.push(request.url ?? '');
    for (const resolve of waiting) resolve();
    waiting = [];
    answer(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const kernel: TestKernel = {
    url: `https://127.0.0.1:${port}/kernel/`,
    entries: new Map(),
    asked: [],
    fault: undefined,
    gate: undefined,
    nextQuestion: () => new Promise((resolve) => waiting.push(resolve)),
  };
  return kernel;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    await kernel.gate;
    const { socket, headers, url = '' } = request;
    const known = socket instanceof TLSSocket && socket.authorized && headers.authorization === `Bearer ${TOKEN}`;
    if (!known) return send(response, 403, '{}');
    if (kernel.fault !== undefined) return fail(kernel.fault, request, response);
    const entry = kernel.entries.get(decodeURIComponent(url.replace('/kernel/signers/', '')));
    send(response, entry === undefined ? 404 : 200, JSON.stringify(entry ?? {}));
  }

  function fail(fault: KernelFault, request: IncomingMessage, response: ServerResponse): void {
    const [text = '{}'] = [...kernel.entries.values()].map((entry) => JSON.stringify(entry));
    const json = { 'content-type': 'application/json' };
    if (fault === 'error') send(response, 500, '{}');
    if (fault === 'html') response.writeHead(200, { 'content-type': 'text/html' }).end(text);
    if (fault === 'encoded') response.writeHead(200, { ...json, 'content-encoding': 'br' }).end(text);
    if (fault === 'no-json') send(response, 200, text.slice(0, -1));
    if (fault === 'twice') send(response, 200, text.replace('{', '{"purpose":"manifest",'));
    if (fault === 'redirect') response.writeHead(302, { location: `${kernel.url}elsewhere${request.url}` }).end();
    if (fault === 'half') {
      response
        .writeHead(200, { ...json, 'content-length': text.length })
        .write(text.slice(0, 20), () => response.destroy());
    }
    if (fault === 'endless') {
      response.writeHead(200, json);
      const more = () => void (response.destroyed || response.write(' '.repeat(16_384), more));
      more();
    }
  }
}

function send(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' }).end(body);
}
