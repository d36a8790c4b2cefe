import { once } from 'node:events';
import type { Socket } from 'node:net';
import t, { type Test } from 'tap';

import type { EgressLimits } from '../../src/egress/session.ts';
import { eventually, lastLine, PUBLIC, proxyFor, statusOf, tcpServer, until, worldOf } from './support.ts';

const HEAD = 'CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n';
const ESTABLISHED = 'HTTP/1.1 200 Connection established\r\n\r\n';

async function tunnelled(t: Test, serve: (socket: Socket) => void, limits: Partial<EgressLimits> = {}) {
  const port = await tcpServer(t, serve);
  const world = worldOf({ 'a.example': [PUBLIC] }, port);
  return { ...world, ...(await proxyFor(t, { rules: world.rules, limits })) };
}

const echo = (socket: Socket) => socket.pipe(socket);

t.test('bytes go both ways, and both ends can be half closed', async (t) => {
  const { open, ended } = await tunnelled(t, echo);
  const client = open();
  client.write(HEAD);
  t.equal(await until(client, '\r\n\r\n'), ESTABLISHED);
  client.write('one');
  t.equal(await until(client, 'one'), 'one');
  client.end('two');
  t.equal(await until(client, 'two'), 'two', 'what is sent before the end comes back after it');
  await once(client, 'end');
  await eventually(() => ended.length === 1, 'a decision');
  t.match(ended, [{ host: 'a.example', port: 443, verdict: 'allowed', bytesOut: 6, bytesIn: 6, code: undefined }]);
});

t.test('bytes sent with the head are not lost', async (t) => {
  const { open } = await tunnelled(t, echo);
  const client = open();
  client.write(`${HEAD}early`);
  t.equal(await until(client, 'early'), `${ESTABLISHED}early`);
  client.destroy();
});

t.test('a server that speaks first is heard', async (t) => {
  const { open } = await tunnelled(t, (socket) => socket.write('220 hello\r\n'));
  const client = open();
  client.write(HEAD);
  t.equal(await until(client, 'hello\r\n'), `${ESTABLISHED}220 hello\r\n`);
  client.destroy();
});

t.test('heads of CONNECT that are refused', async (t) => {
  const { say, dialled } = await tunnelled(t, echo);
  const heads: [string, string, number][] = [
    ['Host: b.example:443', 'HOST_MISMATCH', 400],
    ['Host: a.example:80', 'HOST_MISMATCH', 400],
    ['Host: ', 'HOST_MISMATCH', 400],
    ['X-None: 1', 'BAD_REQUEST', 400],
    ['Host: a.example:443\r\nHost: a.example:443', 'BAD_REQUEST', 400],
    ['Host: a.example:443\r\nContent-Length: 5', 'BAD_REQUEST', 400],
    ['Host: a.example:443\r\nTransfer-Encoding: chunked', 'BAD_REQUEST', 400],
  ];
  for (const [lines, code, status] of heads) {
    const answer = await say(`CONNECT a.example:443 HTTP/1.1\r\n${lines}\r\n\r\n`);
    t.equal(lastLine(answer), code, lines);
    t.equal(statusOf(answer), status, lines);
  }
  t.same(dialled, []);
});

t.test('HTTP/1.0 without a Host, as old clients write it', async (t) => {
  const { open } = await tunnelled(t, echo);
  const client = open();
  client.write('CONNECT a.example:443 HTTP/1.0\r\n\r\n');
  t.equal(await until(client, '\r\n\r\n'), ESTABLISHED);
  client.destroy();
});

t.test('a host that does not answer', async (t) => {
  const refused = worldOf({ 'a.example': [PUBLIC, '9.9.9.9'] }, 1);
  const { say, ended } = await proxyFor(t, { rules: refused.rules });
  const answer = await say(HEAD);
  t.equal(statusOf(answer), 502);
  t.same(refused.dialled, [`${PUBLIC}:443`, '9.9.9.9:443'], 'each of its addresses was tried, once');
  t.match(ended, [{ verdict: 'allowed', code: 'UNREACHABLE', bytesIn: 0, bytesOut: 0 }]);
});

t.test('a name server that does not answer', async (t) => {
  const world = worldOf({}, 1);
  const rules = { ...world.rules, resolve: () => new Promise<never>(() => undefined) };
  const { say, ended, open, proxy } = await proxyFor(t, { rules, limits: { connectMs: 50 } });
  t.equal(statusOf(await say(HEAD)), 504);
  t.match(ended, [{ verdict: 'denied', code: 'TIMEOUT' }]);
  const slow = await proxyFor(t, { rules });
  const client = slow.open();
  client.write(HEAD);
  await once(client, 'connect');
  await slow.proxy.close();
  await eventually(() => client.destroyed || client.readableEnded || !client.readable, 'the end of who waits for it');
  open().destroy();
  await proxy.close();
});

t.test('a client that goes away takes its connection along', async (t) => {
  let served: Socket | undefined;
  const { open, ended } = await tunnelled(t, (socket) => {
    served = socket;
    socket.write('x');
  });
  const client = open();
  client.write(HEAD);
  await until(client, 'x');
  client.destroy();
  await eventually(() => served?.readableEnded === true || served?.destroyed === true, 'the end at the server');
  served?.end();
  await eventually(() => ended.length === 1, 'a decision');
  t.match(ended, [{ verdict: 'allowed', bytesIn: 1 }]);
});

t.test('a server that goes away in the middle takes its client along', async (t) => {
  const { open } = await tunnelled(t, (socket) => socket.once('data', () => socket.resetAndDestroy()));
  const client = open();
  client.write(`${HEAD}x`);
  t.ok(await once(client.resume(), 'end', { signal: AbortSignal.timeout(5000) }));
});

t.test('close ends every tunnel and tells of it', async (t) => {
  const { open, proxy, ended } = await tunnelled(t, echo);
  const clients = [open(), open(), open()];
  for (const client of clients) {
    client.write(`${HEAD}hello`);
    await until(client, 'hello');
  }
  t.equal(proxy.decisions.length, 3);
  t.equal(proxy.decisions[0]?.bytesIn, 5, 'decisions have the bytes so far');
  await proxy.close();
  t.equal(ended.length, 3, 'each was told of before close resolves');
  await Promise.all(clients.map((client) => client.readableEnded || once(client.resume(), 'end')));
  for (const client of clients) client.destroy();
  await proxy.close();
});
