import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

import type { Instance } from './launch.ts';
import type { Random } from './random.ts';

/** ms; whoever is not answered by then hangs up. */
const PATIENCE_MS = 300;

/** What strangers send. None of it may end the process, and none of it may be let in. */
const KINDS: readonly ((instance: Instance, random: Random) => Socket)[] = [
  // No TLS at all.
  ({ apiUrl }, random) => plain(apiUrl, noise(random)),
  ({ apiUrl }) => plain(apiUrl, Buffer.from('POST /v1/workspaces/demo/agents HTTP/1.1\r\nHost: x\r\n\r\n')),
  // Half a record of a handshake.
  ({ apiUrl }, random) =>
    plain(apiUrl, Buffer.concat([Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]), noise(random)])),
  // TLS without a certificate, and then a request as if nothing were.
  ({ apiUrl }) => {
    const { hostname, port } = new URL(apiUrl);
    const socket = connectTls({ host: hostname, port: Number(port), rejectUnauthorized: false });
    socket.write('GET /v1/workspaces HTTP/1.1\r\nHost: x\r\n\r\n');
    return socket;
  },
  // The ops listener takes anybody.
  ({ opsUrl }, random) => plain(opsUrl, noise(random)),
  ({ opsUrl }) => plain(opsUrl, Buffer.from(`GET /livez HTTP/1.1\r\nHost: x\r\n${'a: b\r\n'.repeat(3000)}\r\n`)),
  ({ opsUrl }) =>
    plain(opsUrl, Buffer.from('GET /%00..%2f HTTP/1.1\r\nHost: x\r\nHost: y\r\nContent-Length: 1e9\r\n\r\n')),
];

/** One of each kind; resolves when all of them have been turned away or given up. */
export async function sendGarbage(instance: Instance, random: Random): Promise<void> {
  await Promise.all(KINDS.map((kind) => ended(kind(instance, random))));
}

function plain(url: string, bytes: Buffer): Socket {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port) });
  socket.write(bytes);
  return socket;
}

function noise(random: Random): Buffer {
  return Buffer.from(Array.from({ length: random.between(1, 2000) }, () => random.between(0, 255)));
}

function ended(socket: Socket): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.on('error', () => undefined);
  socket.on('data', () => undefined);
  socket.setTimeout(PATIENCE_MS, () => socket.destroy());
  socket.once('close', () => resolve());
  return promise;
}
