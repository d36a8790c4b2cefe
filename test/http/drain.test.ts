import { once } from 'node:events';
import t from 'tap';
import { Pool } from 'undici';
import { MAX_CONNECTION_AGE } from '../../src/http/drain.ts';
import { testAuthority } from '../certs/material.ts';
import { buildApp, listen, NoQuery, openTcp, openTls } from './fixture.ts';

const material = await testAuthority();
const { cert, key } = await material.client('spiffe://castellan.dev/human/x');
const tls = { ca: material.authority.cert, cert, key };
const AGENTS = '/v1/workspaces/demo/agents';

async function start(clock = Date.now) {
  const gate = Promise.withResolvers<void>();
  const entered = Promise.withResolvers<void>();
  const app = await buildApp({
    ...material,
    clock,
    routes: (instance) => {
      instance.get(
        '/held',
        {
          config: { permission: 'authenticated', audit: [] },
          schema: { operationId: 'held', tags: ['t'], summary: 's', querystring: NoQuery, response: { 200: {} } },
        },
        async () => {
          entered.resolve();
          await gate.promise;
          return { done: true };
        },
      );
    },
  });
  const port = await listen(app);
  const client = new Pool(`https://127.0.0.1:${port}`, {
    connect: { ...tls, servername: 'localhost' },
    connections: 4,
  });
  t.teardown(async () => {
    await client.destroy();
    await app.close();
  });
  return { app, port, client, gate, entered };
}

t.test('close ends in time with clients that would stay', async (t) => {
  const { app, port, client, gate, entered } = await start();
  const keepAlive = await client.request({ path: AGENTS, method: 'GET' });
  await keepAlive.body.dump();
  t.not(keepAlive.headers['connection'], 'close');
  const silent = await openTls(port, tls);
  silent.on('error', () => silent.destroy());
  const noHandshake = openTcp(port);
  noHandshake.on('error', () => noHandshake.destroy());
  await once(noHandshake, 'connect');
  const halfSent = await openTls(port, tls);
  halfSent.on('error', () => halfSent.destroy());
  halfSent.write('GET /v1 HTTP/1.1\r\nHost:');

  const held = client.request({ path: '/held', method: 'GET' });
  await entered.promise;
  t.notOk(app.isDraining);
  app.drain();
  t.ok(app.isDraining);
  const whileDraining = await client.request({ path: AGENTS, method: 'GET' });
  await whileDraining.body.dump();
  t.equal(whileDraining.statusCode, 200);
  t.equal(whileDraining.headers['connection'], 'close');

  const began = performance.now();
  const closed = app.close();
  gate.resolve();
  const answer = await held;
  t.same(await answer.body.json(), { done: true }, 'what was under way is finished');
  t.equal(answer.headers['connection'], 'close');
  await closed;
  t.ok(performance.now() - began < 2_000, `${performance.now() - began} ms`);
});

t.test('a connection older than its limit is closed with the next answer', async (t) => {
  let now = 1_000;
  const { client } = await start(() => now);
  const young = await client.request({ path: AGENTS, method: 'GET' });
  await young.body.dump();
  now += MAX_CONNECTION_AGE - 1;
  const grown = await client.request({ path: AGENTS, method: 'GET' });
  await grown.body.dump();
  t.not(grown.headers['connection'], 'close');
  now += 1;
  const old = await client.request({ path: AGENTS, method: 'GET' });
  await old.body.dump();
  t.equal(old.headers['connection'], 'close');
});
