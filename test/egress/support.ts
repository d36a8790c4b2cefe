import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';

import { type EgressProxy, openEgress } from '../../src/egress/proxy.ts';
import { createEgressRules, type EgressRules } from '../../src/egress/rules.ts';
import type { EgressLimits } from '../../src/egress/session.ts';
import type { EgressDecision } from '../../src/runtime/isolation.ts';

/** A public address that stands for whatever server a test has. */
export const PUBLIC = '1.1.1.1';

/** A server on loopback; every socket of it ends with the test. */
export async function listening(t: Test, server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket.on('error', () => undefined));
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return portOf(server.address());
}

export const tcpServer = (t: Test, serve: (socket: Socket) => void) =>
  listening(t, createServer({ allowHalfOpen: true }, serve));

/** Names from a table; every address leads to the one server there is, and is written down. */
export function worldOf(
  names: Readonly<Record<string, readonly string[]>>,
  port: number,
  internalHosts: EgressRules['internalHosts'] = [],
) {
  const asked: string[] = [];
  const dialled: string[] = [];
  const rules = createEgressRules(
    { internalHosts },
    {
      resolve: async (host) => {
        asked.push(host);
        return names[host] ?? [];
      },
      connect: (address, targetPort) => {
        dialled.push(`${address}:${targetPort}`);
        return connect({ host: '127.0.0.1', port, allowHalfOpen: true });
      },
    },
  );
  return { rules, asked, dialled };
}

/** A proxy at a unix socket, and a client for it. */
export async function proxyFor(
  t: Test,
  options: { rules: EgressRules; allowDomains?: readonly string[]; limits?: Partial<EgressLimits> },
) {
  const dir = await mkdtemp(join(tmpdir(), 'egress-'));
  const path = join(dir, 'socket');
  const ended: EgressDecision[] = [];
  const proxy: EgressProxy = openEgress({
    allowDomains: ['a.example', 'b.example', '*.c.example'],
    ...options,
    onDecision: (decision) => ended.push(decision),
  });
  await proxy.listen(path);
  t.teardown(async () => {
    await proxy.close();
    await rm(dir, { recursive: true, force: true });
  });
  const open = () => connect({ path, allowHalfOpen: true }).on('error', () => undefined);
  return { proxy, ended, open, say: (text: string) => saying(open(), text) };
}

/** Writes a text and resolves with all that comes until the other side ends, which it has to within 5 s. */
export async function saying(socket: Socket, text: string | Buffer): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.write(text);
  const signal = AbortSignal.timeout(5000);
  try {
    await Promise.race([once(socket, 'end', { signal }), once(socket, 'close', { signal })]);
  } finally {
    socket.destroy();
  }
  return Buffer.concat(chunks).toString('latin1');
}

/** Resolves with the text that has come, as soon as it ends like this. */
export async function until(socket: Socket, ending: string): Promise<string> {
  let text = '';
  const signal = AbortSignal.timeout(5000);
  while (!text.endsWith(ending)) {
    const [chunk] = await once(socket, 'data', { signal });
    text += String(chunk);
  }
  return text;
}

/** Waits for what another side brings about. */
export async function eventually(holds: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 5000;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`did not come about: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

export const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1]);
export const lastLine = (answer: string) => answer.trimEnd().split('\n').at(-1)?.trim();

function portOf(address: string | AddressInfo | null): number {
  if (address === null || typeof address === 'string') throw new TypeError('no port');
  return address.port;
}
