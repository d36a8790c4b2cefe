import pg from 'pg';
import t, { type Test } from 'tap';

import { testDatabase } from '../support/database.ts';
import { type DatabaseProxy, type ProxyFault, startProxy } from './support/proxy.ts';
import { seeded } from './support/random.ts';

const database = await testDatabase(t);
await database.query('CREATE TABLE rows (n integer)');

async function behind(t: Test): Promise<{ proxy: DatabaseProxy; client: pg.Client }> {
  const { hostname, port } = new URL(database.superuserUrl);
  const proxy = await startProxy({ host: hostname, port: Number(port) });
  t.teardown(() => proxy.close());
  return { proxy, client: await connected(t, proxy) };
}

async function connected(t: Test, proxy: DatabaseProxy): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: proxy.through(database.superuserUrl), query_timeout: 500 });
  client.on('error', () => undefined);
  await client.connect();
  t.teardown(() => client.end().catch(() => undefined));
  return client;
}

async function rows(n: number): Promise<number> {
  return (await database.query('SELECT FROM rows WHERE n = $1', [n])).rowCount ?? 0;
}

async function write(client: pg.Client, n: number): Promise<void> {
  await client.query('BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE');
  await client.query('INSERT INTO rows VALUES ($1)', [n]);
  await client.query('COMMIT');
}

t.test('without a fault everything passes', async (t) => {
  const { client, proxy } = await behind(t);
  await write(client, 1);
  t.equal(await rows(1), 1);
  t.equal(proxy.struck, 0);
});

t.test('the answer to COMMIT is lost: it is there, and nobody was told', async (t) => {
  const { client, proxy } = await behind(t);
  proxy.apply({ kind: 'cut-at-commit', lost: 'answer', nth: 1 });
  await t.rejects(write(client, 2));
  t.equal(await rows(2), 1);
  t.equal(proxy.struck, 1);
});

t.test('the COMMIT itself is lost: it is not there', async (t) => {
  const { client, proxy } = await behind(t);
  proxy.apply({ kind: 'cut-at-commit', lost: 'request', nth: 1 });
  await t.rejects(write(client, 3));
  t.equal(await rows(3), 0);
});

const CUTTING: readonly ProxyFault[] = [
  { kind: 'cut', direction: 'to-database', atByte: 10 },
  { kind: 'cut', direction: 'to-service', atByte: 10 },
  { kind: 'refuse' },
  { kind: 'black-hole' },
];
for (const fault of CUTTING) {
  t.test(`${fault.kind}: no answer, and new connections work once it has passed`, async (t) => {
    const { client, proxy } = await behind(t);
    proxy.apply(fault);
    await t.rejects(client.query('SELECT 1'));
    proxy.apply({ kind: 'none' });
    const again = await connected(t, proxy);
    t.equal((await again.query('SELECT 1 AS n')).rows[0].n, 1);
  });
}

t.test('delay: late, and whole', async (t) => {
  const { client, proxy } = await behind(t);
  proxy.apply({ kind: 'delay', ms: 60 });
  const began = performance.now();
  await client.query('SELECT 1');
  t.ok(performance.now() - began >= 110, 'there and back');
});

t.test('a seed decides', async (t) => {
  const take = (seed: number) => Array.from({ length: 20 }, seeded(seed).next);
  t.same(take(7), take(7));
  t.notSame(take(7), take(8));
  const dice = seeded(1);
  for (let n = 0; n < 1000; n += 1) {
    const value = dice.between(2, 4);
    if (value < 2 || value > 4) t.fail(`${value} is not in [2, 4]`);
  }
  t.not(dice.fork('a').next(), dice.fork('b').next(), 'parts have numbers of their own');
});
