import { once } from 'node:events';
import type { Socket } from 'node:net';
import t, { type Test } from 'tap';

import type { EgressLimits } from '../../src/egress/session.ts';
import { eventually, lastLine, PUBLIC, proxyFor, statusOf, tcpServer, until, worldOf } from './support.ts';

const CONNECT = 'CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n';
const GET = 'GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n';
const MIB = 1024 ** 2;
/** TESTING_EGRESS_MIB=1024 sends a gigabyte through. */
const BULK_MIB = Number(process.env['TESTING_EGRESS_MIB'] ?? 96);

async function bounded(t: Test, serve: (socket: Socket) => void, limits: Partial<EgressLimits>) {
  const port = await tcpServer(t, serve);
  const world = worldOf({ 'a.example': [PUBLIC] }, port);
  return { ...world, ...(await proxyFor(t, { rules: world.rules, limits })) };
}

const silent = (socket: Socket) => void socket.resume();

t.test('a head that never ends, byte by byte', async (t) => {
  const { open } = await bounded(t, silent, { headMs: 100 });
  const client = open();
  client.write(`${GET}X: `);
  const drip = setInterval(() => client.write('x'), 5);
  t.equal(statusOf(await until(client, 'TIMEOUT\n')), 408);
  clearInterval(drip);
  client.destroy();
});

t.test('a connection on which nothing comes, and one on which nothing comes any more', async (t) => {
  const { open } = await bounded(t, (socket) => socket.once('data', () => socket.end('HTTP/1.1 204 No\r\n\r\n')), {
    headMs: 100,
  });
  const idle = open();
  t.equal(statusOf(await until(idle, 'TIMEOUT\n')), 408);
  const kept = open();
  kept.write(`${GET}\r\n`);
  t.equal(statusOf(await until(kept, '\r\n\r\n')), 204);
  t.ok(await once(kept.resume(), 'end', { signal: AbortSignal.timeout(5000) }), 'without a word');
  for (const client of [idle, kept]) client.destroy();
});

t.test('heads that are too large', async (t) => {
  const { say, dialled } = await bounded(t, silent, {});
  t.equal(statusOf(await say(`${GET}X: ${'x'.repeat(17_000)}\r\n\r\n`)), 431, 'one header');
  t.equal(statusOf(await say(`${GET}${'X: 1\r\n'.repeat(4000)}\r\n`)), 431, 'many');
  t.equal(statusOf(await say(`GET http://a.example/${'x'.repeat(17_000)} HTTP/1.1\r\n\r\n`)), 431, 'a path');
  t.equal(statusOf(await say('x'.repeat(100_000))), 400, 'no head at all');
  t.same(dialled, []);
});

t.test('a host that never answers', async (t) => {
  const { say, ended } = await bounded(t, silent, { idleMs: 100 });
  t.equal(statusOf(await say(`${GET}\r\n`)), 504);
  t.equal(await say(CONNECT), 'HTTP/1.1 200 Connection established\r\n\r\n', 'a tunnel in which nobody speaks ends');
  t.match(ended, [{ code: 'TIMEOUT' }, { code: 'TIMEOUT' }]);
});

t.test('half a connection does not stay', async (t) => {
  const { open, ended } = await bounded(t, silent, { halfOpenMs: 100 });
  const client = open();
  client.end(CONNECT);
  t.ok(await once(client.resume(), 'end', { signal: AbortSignal.timeout(5000) }));
  await eventually(() => ended.length === 1, 'a decision');
  t.match(ended, [{ verdict: 'allowed', code: 'TIMEOUT' }]);
});

t.test('bytes of one connection, and of all', async (t) => {
  const flood = (socket: Socket) => {
    const more = () => {
      while (socket.writable && socket.write(Buffer.alloc(16_384)));
    };
    socket.on('drain', more).once('data', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      more();
    });
  };
  const one = await bounded(t, flood, { connectionBytes: MIB });
  const got = await one.say(`${CONNECT}x`);
  t.ok(got.length > MIB / 2 && got.length <= MIB + 100, 'a tunnel ends there');
  const answer = await one.say(`${GET}\r\n`);
  t.ok(answer.length > MIB / 2 && answer.length <= MIB * 1.1, 'and so does an answer');
  await eventually(() => one.ended.length === 2, 'decisions');
  t.match(one.ended, [{ code: 'BYTE_LIMIT' }, { code: 'BYTE_LIMIT' }]);

  const all = await bounded(t, (socket) => socket.pipe(socket), { totalBytes: 10 });
  await all.say(`${CONNECT}0123456789`);
  await all.say(`${CONNECT}0`);
  t.match(all.ended, [{ code: 'BYTE_LIMIT' }, { code: 'BYTE_LIMIT', bytesOut: 1, bytesIn: 0 }]);
});

t.test('a body that is too long', async (t) => {
  const { open, ended } = await bounded(t, silent, { connectionBytes: 100_000 });
  const client = open();
  client.write(`POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000000\r\n\r\n`);
  client.write(Buffer.alloc(1_000_000));
  t.equal(lastLine(await until(client, 'LIMIT\n')), 'BYTE_LIMIT');
  client.destroy();
  t.match(ended, [{ code: 'BYTE_LIMIT' }]);
});

t.test('connections at once', async (t) => {
  const { open, proxy } = await bounded(t, silent, { connections: 3, halfOpenMs: 50 });
  const clients = [open(), open(), open()];
  for (const client of clients) {
    client.write(CONNECT);
    await until(client, '\r\n\r\n');
  }
  const fourth = open();
  t.ok(await once(fourth.resume(), 'end', { signal: AbortSignal.timeout(5000) }), 'a fourth is not served');
  clients[0]?.destroy();
  fourth.destroy();
  const answers = async () => {
    const client = open();
    client.write(CONNECT);
    const [chunk] = await once(client, 'data', { signal: AbortSignal.timeout(5000) }).catch(() => ['']);
    client.destroy();
    return String(chunk).startsWith('HTTP/1.1 200');
  };
  await eventually(() => proxy.decisions.length === 3, 'three decisions');
  let served = false;
  for (const deadline = Date.now() + 5000; !served && Date.now() < deadline; ) served = await answers();
  t.ok(served, 'once one is gone there is a place');
  for (const client of clients) client.destroy();
});

t.test('decisions that are kept', async (t) => {
  const { open, proxy, ended } = await bounded(
    t,
    (socket) => socket.once('data', () => socket.end('HTTP/1.1 204 No\r\n\r\n')),
    {},
  );
  const client = open();
  for (let count = 0; count < 1005; count += 1) {
    client.write(`${GET}\r\n`);
    await until(client, '\r\n\r\n');
  }
  client.destroy();
  await eventually(() => ended.length === 1005, 'each was told of');
  t.equal(proxy.decisions.length, 1000);
  t.equal(proxy.omittedDecisions, 5, 'the rest is counted');
});

t.test(`${BULK_MIB} MiB each way, at the pace of the slower side and in bounded memory`, async (t) => {
  const total = BULK_MIB * MIB;
  let reads: Socket | undefined;
  const serve = (socket: Socket) => {
    reads = socket.pause();
  };
  const { open, ended } = await bounded(t, serve, {});
  const client = open();
  client.write(CONNECT);
  await until(client, '\r\n\r\n');
  await eventually(() => reads !== undefined, 'a connection');
  // Nobody reads yet: what is written has to stop.
  const before = process.memoryUsage.rss();
  let sent = 0;
  const chunk = Buffer.alloc(65_536, 'x');
  const write = () => {
    while (sent < total && client.writableLength < MIB) {
      client.write(chunk);
      sent += chunk.length;
    }
    if (sent === total) client.end();
  };
  client.on('drain', write);
  write();
  const stalled = await stable(() => sent - client.writableLength);
  t.ok(stalled < 16 * MIB, `the sender has to wait after ${Math.round(stalled / 1024)} KiB`);

  let received = 0;
  let back = 0;
  reads?.on('data', (data: Buffer) => {
    received += data.length;
  });
  reads?.pipe(reads);
  client.on('data', (data: Buffer) => {
    back += data.length;
  });
  await once(client, 'end', { signal: AbortSignal.timeout(120_000) });
  t.equal(received, total);
  t.equal(back, total);
  const grown = process.memoryUsage.rss() - before;
  t.ok(grown < 96 * MIB, `memory grew by ${Math.round(grown / MIB)} MiB`);
  await eventually(() => ended.length === 1, 'a decision');
  t.match(ended, [{ bytesOut: total, bytesIn: total, verdict: 'allowed' }]);
  client.destroy();
});

/** A number that has stopped to grow. */
async function stable(read: () => number): Promise<number> {
  for (let last = -1, same = 0; ; ) {
    const now = read();
    same = now === last ? same + 1 : 0;
    if (same === 200) return now;
    last = now;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

t.test('more requests in a second than anybody needs wait for their turn', async (t) => {
  const { say, asked } = await bounded(t, (socket) => socket.end('HTTP/1.1 204 No\r\n\r\n'), {
    pace: { burst: 3, perSecond: 20 },
  });
  const begun = performance.now();
  const answers = await Promise.all(Array.from({ length: 9 }, () => say(`${GET}Connection: close\r\n\r\n`)));
  t.same(new Set(answers.map(statusOf)), new Set([204]));
  t.equal(asked.length, 9);
  const ms = performance.now() - begun;
  t.ok(ms > 250, `six of them at 20 in a second: ${Math.round(ms)} ms`);
  t.equal(statusOf(await say('GET http://other.example/ HTTP/1.1\r\nHost: other.example\r\n\r\n')), 403);
});

t.test('who connects without end finds nobody there any more', async (t) => {
  const { open, proxy } = await bounded(t, silent, { flood: { most: 500, windowMs: 60_000 } });
  const refused = () => proxy.decisions.some(({ host, code }) => host === '*' && code === 'TOO_MANY_CONNECTIONS');
  for (let round = 0; round < 20 && !refused(); round += 1) {
    const clients = Array.from({ length: 50 }, open);
    await Promise.all(clients.map((client) => once(client, 'connect').catch(() => undefined)));
    for (const client of clients) client.destroy();
  }
  await eventually(refused, 'it is in the record');
  let seen: unknown;
  for (const deadline = Date.now() + 5000; Date.now() < deadline; ) {
    const client = open();
    seen = await once(client, 'connect').catch((reason: unknown) => reason);
    client.destroy();
    // Reset: it was taken just before the listener ended.
    if (seen instanceof Error && 'code' in seen && seen.code !== 'ECONNRESET') break;
  }
  t.match(seen, { code: /ECONNREFUSED|ENOENT/ });
});
