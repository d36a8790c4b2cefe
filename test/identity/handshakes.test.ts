import { once } from 'node:events';
import { type AddressInfo, connect as connectTcp, type Socket } from 'node:net';
import { connect, createServer, type TLSSocket } from 'node:tls';
import t from 'tap';

import { issue, newKey } from '../../src/certs/authority.ts';
import { createHandshakes } from '../../src/identity/handshakes.ts';
import { parseTrustBundle } from '../../src/identity/trust-bundle.ts';
import { testCa } from '../certs/authorities.ts';
import { inForce } from '../certs/material.ts';

const key = await newKey();
const removed = await testCa({ commonName: 'removed', key });
const present = await testCa({ commonName: 'present' });
const request = { commonName: 'localhost', names: [{ dns: 'localhost' }], validity: inForce };
const server = await issue(present, { ...request, usage: 'server' }, key);
const client = await issue(removed, { ...request, usage: 'client' }, key);

async function opened(port: number, host: string, localPort?: number): Promise<Socket> {
  const from = localPort === undefined ? {} : { localPort };
  const socket = connectTcp({ port, host, localAddress: '127.0.0.1', ...from });
  await once(socket, 'connect');
  return socket;
}

t.test('a handshake is not taken for that of another connection from the same port, to another address', async (t) => {
  const before = parseTrustBundle(removed.cert);
  let bundle = before;
  const handshakes = createHandshakes(() => bundle);
  const listener = createServer({ ...server, ca: removed.cert, requestCert: true });
  handshakes.watch(listener);
  listener.listen(0, '0.0.0.0');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;

  const arrived = once(listener, 'connection');
  const first = await opened(port, '127.0.0.1');
  await arrived;
  bundle = parseTrustBundle(present.cert);
  listener.setSecureContext({ ...server, ca: present.cert });
  const arrivedToo = once(listener, 'connection');
  const second = await opened(port, '127.0.0.2', first.localPort);
  await arrivedToo;

  const shaken = once(listener, 'secureConnection');
  const tls = connect({ socket: first, cert: client.cert, key: client.key, rejectUnauthorized: false });
  const [socket]: TLSSocket[] = await shaken;
  t.ok(socket?.authorized, 'by the authority that is gone');
  t.equal(socket && handshakes.bundleOf(socket), before);
  for (const one of [tls, first, second]) one.destroy();
  listener.close();
});
