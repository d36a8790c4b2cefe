import t from 'tap';

import type { RequestEvent, RetryEvent } from '../../packages/client/src/index.ts';
import { createServers } from '../../packages/client/src/servers.ts';
import {
  AGENT,
  clientOf,
  failure,
  faultyServer,
  json,
  problem,
  reset,
  STARTED,
  STATUS,
  timed,
} from './support/faulty.ts';

const good = json(200, STATUS);

t.test('one of two servers goes away under load, comes back, and the other goes: no call fails', async (t) => {
  const [one, two] = [await faultyServer(t, json(200, STARTED)), await faultyServer(t, json(200, STARTED))];
  const client = await clientOf(t, [one, two]);
  let stopped = false;
  let calls = 0;
  const worker = async (): Promise<void> => {
    while (!stopped) {
      await client.request('startAgent', AGENT);
      calls += 1;
    }
  };
  const more = async (): Promise<void> => {
    const enough = calls + 300;
    while (calls < enough) await client.request('startAgent', AGENT);
  };
  const workers = Array.from({ length: 16 }, worker);
  await more();
  const portOfOne = Number(new URL(one.url).port);
  await one.close();
  await more();
  const oneAgain = await faultyServer(t, json(200, STARTED), portOfOne);
  await two.close();
  await more();
  stopped = true;
  await Promise.all(workers);
  t.ok(oneAgain.seen.length > 0, 'the first is used again');
  t.ok(calls >= 900);
});

t.test('a server that is not there is passed over at once, and costs nothing of the budget', async (t) => {
  const gone = await faultyServer(t, good);
  await gone.close();
  const there = await faultyServer(t, good);
  const retries: RetryEvent[] = [];
  const used: RequestEvent[] = [];
  const hooks = {
    onRetry: (event: RetryEvent) => retries.push(event),
    onRequest: (event: RequestEvent) => used.push(event),
  };
  // A budget that never gives anything: only what is free can happen.
  const retry = { budget: { capacity: 0.5, perSecond: 0.001, ratio: 0.001 } };
  for (let made = 0; made < 10; made += 1) {
    const client = await clientOf(t, [gone, there], { hooks, retry });
    t.equal((await client.request('getAgentStatus', AGENT)).status, 200);
    t.equal((await client.request('getAgentStatus', AGENT)).status, 200);
    t.equal(used.at(-1)?.server, there.url, 'and is not asked again by the next call');
  }
  t.ok(retries.length > 0, 'clients begin at random servers');
  t.ok(
    retries.every(({ failover, delayMs, error }) => failover && delayMs === 0 && error.code === 'CONNECTION_FAILED'),
  );
});

t.test('all servers are gone', async (t) => {
  const [one, two] = [await faultyServer(t, good), await faultyServer(t, good)];
  await Promise.all([one.close(), two.close()]);
  const client = await clientOf(t, [one, two], { retry: { maxAttempts: 3 } });
  const error = await failure(client.request('startAgent', AGENT));
  t.match(error, { kind: 'connection', code: 'CONNECTION_FAILED', attempts: 4, maybeApplied: false });
});

t.test('the Retry-After of one server does not hold up the other', async (t) => {
  const busy = await faultyServer(t, problem(503, 'DRAINING', { 'retry-after': '30' }));
  const there = await faultyServer(t, good);
  const client = await clientOf(t, [busy, there]);
  for (let made = 0; made < 5; made += 1) {
    t.ok((await timed(() => client.request('getAgentStatus', AGENT))) < 10_000);
  }
  t.ok(busy.seen.length <= 1, 'the next calls begin at the other');
});

t.test('a lost POST goes to the other server under its key', async (t) => {
  const bad = await faultyServer(t, reset);
  const there = await faultyServer(t, json(200, STARTED));
  for (let made = 0; bad.seen.length === 0 && made < 50; made += 1) {
    await (await clientOf(t, [bad, there])).request('startAgent', AGENT);
  }
  const key = bad.seen[0]?.headers['idempotency-key'];
  t.type(key, 'string');
  t.ok(there.seen.some(({ headers }) => headers['idempotency-key'] === key));
});

t.test('the order of servers', async (t) => {
  let now = 0;
  const servers = createServers(
    ['a', 'b', 'c'],
    () => 0.5,
    () => now,
  );
  const none = new Map<string, number>();
  t.equal(servers.pick(none), 'b', 'where chance put it');
  servers.failed('b');
  t.equal(servers.pick(none), 'c');
  servers.failed('c');
  t.equal(servers.pick(none), 'a');
  now = 1;
  servers.failed('a');
  t.equal(servers.pick(none), 'b', 'all failed: the one that failed first');
  t.equal(servers.pick(new Map([['b', 500]])), 'c', 'unless it asked for a wait');
  now = 10_000;
  t.equal(servers.pick(none), 'b', 'forgotten');
  servers.failed('c');
  servers.failed('b');
  t.equal(servers.pick(none), 'a', 'the next in turn has just failed as well');
});
