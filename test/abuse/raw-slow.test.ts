import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import t from 'tap';

import { until } from '../support/process.ts';
import { testService } from '../support/service.ts';
import { openRaw, openTcp } from './support/raw.ts';

const AGENTS = '/v1/workspaces/demo/agents';
/** ms; the service's own limits are 5 s for a header, 15 s for a request, 10 s between two, 30 s for a reader: here less. */
const SHORT = { headersTimeout: 500, requestTimeout: 1500, keepAliveTimeout: 1000, timeout: 1000 };
/** ms; Node looks for late ones every second. */
const LATEST = 6_000;

const service = await testService(t);
const { server } = service.service.app;
Object.assign(server, SHORT);

/** Sends a byte now and then until the service closes; what it has answered, and after how long it closed. */
async function trickle(socket: Socket, head: string, bytes: Iterator<string>): Promise<{ text: string; ms: number }> {
  const started = performance.now();
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
  });
  const closed = once(socket, 'close').then(() => true);
  socket.write(head);
  for (;;) {
    if (await Promise.race([closed, delay(100, false)])) return { text, ms: performance.now() - started };
    if (performance.now() - started > LATEST) throw new Error(`still open after ${LATEST} ms`);
    const { value, done } = bytes.next();
    if (done !== true && !socket.destroyed) socket.write(value);
  }
}

function* forever(bytes: string) {
  for (;;) yield bytes;
}

const POST = `POST ${AGENTS} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n`;
const cases = [
  {
    why: 'a header without end',
    head: `GET ${AGENTS} HTTP/1.1\r\nHost: a\r\nX: `,
    bytes: 'a',
    answers: /^HTTP\/1.1 408 /,
  },
  {
    why: 'headers without end',
    head: `GET ${AGENTS} HTTP/1.1\r\nHost: a\r\n`,
    bytes: 'X: a\r\n',
    answers: /^HTTP\/1.1 408 /,
  },
  { why: 'a request line without end', head: 'GET /', bytes: 'a', answers: /^HTTP\/1.1 408 / },
  { why: 'a body without end', head: `${POST}Content-Length: 1000\r\n\r\n`, bytes: ' ', answers: /^HTTP\/1.1 408 / },
  {
    why: 'chunks without end',
    head: `${POST}Transfer-Encoding: chunked\r\n\r\n`,
    bytes: '1\r\n \r\n',
    answers: /^HTTP\/1.1 408 /,
  },
  { why: 'a body that never comes', head: `${POST}Content-Length: 10\r\n\r\n`, bytes: '', answers: /^HTTP\/1.1 408 / },
  {
    why: 'a body nobody asked for, without end',
    head: 'POST /v1/signers HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n',
    bytes: ' ',
    answers: /^HTTP\/1.1 403 /,
  },
  { why: 'nothing at all', head: '', bytes: '', answers: /^(?:HTTP\/1.1 408 |$)/ },
  { why: 'nothing more', head: `GET ${AGENTS} HTTP/1.1\r\nHost: a\r\n\r\n`, bytes: '', answers: /^HTTP\/1.1 200 / },
];

const results = await Promise.allSettled(
  cases.map(async ({ head, bytes }) => trickle(await openRaw(service, 'operator'), head, forever(bytes))),
);

for (const [nth, { why, answers }] of cases.entries()) {
  t.test(`cut: ${why}`, async (t) => {
    const result = results[nth];
    if (result?.status !== 'fulfilled') {
      t.fail(String(result?.reason));
      return;
    }
    const { text, ms } = result.value;
    t.match(text, answers);
    t.equal(text.split('HTTP/1.1 ').length - 1, text === '' ? 0 : 1, 'one answer');
    t.ok(ms < LATEST, `${Math.round(ms)} ms`);
  });
}

t.test('cut: who asks and never reads', async (t) => {
  const socket = await openRaw(service, 'operator');
  socket.pause();
  const closed = once(socket, 'close');
  socket.write('GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(200));
  await until('the connection is closed', async () => (await connections()) === 0, LATEST * 2);
  // Only who reads sees the end.
  socket.resume();
  await closed;
  t.pass('and the client is told');
});

t.test('not cut: who waits for an answer that takes its time', async (t) => {
  const { database } = service;
  const client = new pg.Client({ connectionString: database.superuserUrl });
  await client.connect();
  t.teardown(() => client.end());
  await client.query('BEGIN');
  await client.query('LOCK TABLE agents IN ACCESS EXCLUSIVE MODE');
  const answer = service.call('operator', 'GET', AGENTS);
  await delay(SHORT.timeout * 2);
  await client.query('ROLLBACK');
  t.equal((await answer).status, 200);
});

t.test('a crowd that says nothing is gone in time, and others are served meanwhile', async (t) => {
  const tcp = await Promise.all(Array.from({ length: 300 }, () => openTcp(service)));
  const tls = await Promise.all(Array.from({ length: 50 }, () => openRaw(service, 'operator')));
  for (const [nth, socket] of tcp.entries()) {
    // Half of them talk nonsense where a handshake should be.
    if (nth % 2 === 0) socket.write(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
  }
  t.equal((await service.call('operator', 'GET', AGENTS)).status, 200);
  for (const socket of [...tcp, ...tls]) socket.resume();
  await until('all connections are closed', async () => (await connections()) === 0, 15_000);
  for (const socket of [...tcp, ...tls]) socket.destroy();
  t.equal((await service.call('operator', 'GET', AGENTS)).status, 200);
});

function connections(): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.getConnections((error, count) => (error === null ? resolve(count) : reject(error)));
  return promise;
}
