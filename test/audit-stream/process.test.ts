import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';

import { issue, makeAuthority, validFor } from '../../src/certs/authority.ts';
import { castellan, exitWithin, type Running, until } from '../support/process.ts';
import { type Answered, type Received, receiver } from '../support/receiver.ts';
import { linesOfFile, type StreamBench, streamBench, told } from './support/bench.ts';

const SECRET = randomBytes(32).toString('base64');
const inForce = validFor(Date.now(), 1);
const authority = await makeAuthority('test authority', inForce);
const tls = await issue(authority, {
  commonName: 'localhost',
  names: [{ ip: '127.0.0.1' }],
  usage: 'server',
  validity: inForce,
});

interface Receiver {
  readonly url: string;
  readonly events: unknown[];
  readonly requests: Received[];
  answer: (count: number) => Answered | Promise<Answered>;
}

/** A receiver over TLS that keeps the events of what it took with 2xx, and of what it never answered. */
async function httpsReceiver(t: Test): Promise<Receiver> {
  const events: unknown[] = [];
  const requests: Received[] = [];
  const there = { url: '', events, requests, answer: (): Answered | Promise<Answered> => ({ status: 204 }) };
  there.url = await receiver(
    t,
    async (request) => {
      requests.push(request);
      const batch: unknown[] = JSON.parse(request.body.toString());
      events.push(...batch);
      return there.answer();
    },
    tls,
  );
  return there;
}

async function started(t: Test, bench: StreamBench, to: string, state: string, ...rest: string[]): Promise<Running> {
  const ca = join(bench.dir, 'ca.pem');
  const secret = join(bench.dir, 'secret');
  await writeFile(ca, authority.cert);
  await writeFile(secret, `${SECRET}\n`);
  const argv = ['audit', 'stream', '--format', 'cloudevents', '--to', to, '--state', state, '--from', '1', ...rest];
  return castellan(t, argv, {
    DATABASE_URL: bench.database.superuserUrl,
    NODE_EXTRA_CA_CERTS: ca,
    CASTELLAN_STREAM_WEBHOOK_SECRET_FILE: secret,
  });
}

const unique = (places: readonly { seq: number }[]) => [...new Map(places.map((place) => [place.seq, place])).values()];

t.test('two chains over HTTPS; killed before the state is written, it repeats and leaves nothing out', async (t) => {
  const bench = await streamBench(t, ['alpha', 'beta']);
  const there = await httpsReceiver(t);
  const state = join(bench.dir, 'state');
  await bench.append('alpha', 40);
  await bench.append('beta', 2);
  const first = await started(t, bench, `${there.url}/in`, state);
  await until('the first batch and its state', async () => (await positionOf(state, 'alpha')) === 40);

  // From now on batches are taken, and never answered: the process dies between delivery and state.
  const { promise: taken, resolve: took } = Promise.withResolvers<void>();
  const { promise: silence, resolve: over } = Promise.withResolvers<Answered>();
  t.teardown(() => over({ status: 204 }));
  there.answer = () => {
    took();
    return silence;
  };
  await bench.append('alpha', 25);
  await taken;
  first.child.kill('SIGKILL');
  await exitWithin(first, 5000);
  t.equal(await positionOf(state, 'alpha'), 40, 'the state says what surely arrived');
  const before = there.events.length;
  t.ok(before > 42);

  there.answer = () => ({ status: 204 });
  await bench.append('beta', 3);
  const second = await started(t, bench, `${there.url}/in`, state);
  await until(
    'everything',
    async () => (await positionOf(state, 'alpha')) === 65 && (await positionOf(state, 'beta')) === 5,
  );
  for (const chain of ['alpha', 'beta']) {
    const places = told(there.events, chain);
    t.strictSame(unique(places), await bench.stored(chain), `${chain}: no gap`);
  }
  t.ok(told(there.events, 'alpha').length > 65, 'what was taken and not recorded came again');
  t.match(there.requests[0]?.headers, {
    'content-type': 'application/cloudevents-batch+json; charset=utf-8',
    'webhook-signature': /^v1,/,
  });

  second.child.kill('SIGTERM');
  t.match(await exitWithin(second, 5000), { code: 0 });
  t.equal(second.stderr(), '', 'nothing to say');
  t.notMatch(first.stderr(), SECRET);
});

t.test('a file: killed at any moment, it has no gap and no broken line after the next start', async (t) => {
  const bench = await streamBench(t, ['alpha']);
  const [out, state] = [join(bench.dir, 'out.jsonl'), join(bench.dir, 'state')];
  await bench.append('alpha', 30);
  const first = await started(t, bench, out, state);
  await until('the first events', async () => (await positionOf(state, 'alpha')) === 30);
  const more = bench.append('alpha', 60);
  await until('some of the others', async () => (await positionOf(state, 'alpha')) > 30);
  first.child.kill('SIGKILL');
  await exitWithin(first, 5000);
  await more;
  // As if the machine had died with the last line half written, and the state of an earlier moment.
  const text = await readFile(out, 'utf8');
  await writeFile(out, text.slice(0, -20));
  await writeFile(
    state,
    JSON.stringify({ v: 1, chains: { alpha: { seq: 30, hash: (await bench.stored('alpha'))[29]?.hash } } }),
  );

  const second = await started(t, bench, out, state, '--once');
  t.match(await exitWithin(second, 20_000), { code: 0 });
  t.strictSame(unique(told(await linesOfFile(out), 'alpha')), await bench.stored('alpha'));
});

t.test('SIGTERM lets the delivery under way end, and records it', async (t) => {
  const bench = await streamBench(t, ['alpha']);
  const there = await httpsReceiver(t);
  const state = join(bench.dir, 'state');
  const { promise: taken, resolve: took } = Promise.withResolvers<void>();
  const { promise: answer, resolve: goOn } = Promise.withResolvers<Answered>();
  there.answer = () => {
    took();
    return answer;
  };
  await bench.append('alpha', 3);
  const running = await started(t, bench, there.url, state);
  await taken;
  running.child.kill('SIGTERM');
  t.equal(await positionOf(state, 'alpha'), 0);
  goOn({ status: 204 });
  t.match(await exitWithin(running, 5000), { code: 0 });
  t.equal(await positionOf(state, 'alpha'), 3);
});

t.test('a receiver that refuses ends it with 3; one that is away is waited for, but not past a SIGTERM', async (t) => {
  const bench = await streamBench(t, ['alpha']);
  const there = await httpsReceiver(t);
  const state = join(bench.dir, 'state');
  await bench.append('alpha', 3);
  there.answer = () => ({ status: 401 });
  const refused = await started(t, bench, there.url, state);
  t.match(await exitWithin(refused, 20_000), { code: 3 });
  t.match(refused.stderr(), /answered 401: nothing was skipped/);
  there.answer = () => ({ status: 503, headers: { 'retry-after': '600' } });
  const waiting = await started(t, bench, there.url, state);
  await until('the wait', () => /answered 503; again in 600\.0 s/.test(waiting.stderr()));
  waiting.child.kill('SIGINT');
  t.match(await exitWithin(waiting, 5000), { code: 0 });
  t.equal(await positionOf(state, 'alpha'), 0, 'not delivered, so not recorded');
});

t.test('a database that goes away and comes back', async (t) => {
  const bench = await streamBench(t, ['alpha']);
  const [out, state] = [join(bench.dir, 'out.jsonl'), join(bench.dir, 'state')];
  await bench.append('alpha', 2);
  const running = await started(t, bench, out, state);
  await until('the first events', async () => (await positionOf(state, 'alpha')) === 2);
  const cut = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND application_name = 'castellan audit stream'`;
  await bench.database.query(cut, [bench.database.name]);
  await bench.append('alpha', 2);
  await until('what came after', async () => (await positionOf(state, 'alpha')) === 4);
  t.match(running.stderr(), /the database is away.*\n.*the database is back/);
  t.strictSame(told(await linesOfFile(out), 'alpha'), await bench.stored('alpha'));
  running.child.kill('SIGTERM');
  t.match(await exitWithin(running, 5000), { code: 0 });
});

/** The seq that the state has for a chain; -1 while there is no state. */
async function positionOf(state: string, chain: string): Promise<number> {
  try {
    const parsed = JSON.parse(await readFile(state, 'utf8'));
    return parsed.chains[chain]?.seq ?? -1;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return -1;
    throw error;
  }
}
