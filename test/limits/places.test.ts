import t from 'tap';

import { openTls } from '../http/fixture.ts';
import { until } from '../support/process.ts';
import { type LimitedApp, limitedApp, type Reply, tls } from './fixture.ts';

const PLACES = { read: 4, write: 2, brake: 2 };
const held = (workspace: string) => `/v1/workspaces/${workspace}/held`;
const read = (workspace: string) => `/v1/workspaces/${workspace}/read`;

const at = ({ app }: LimitedApp) => app.limits.stats().lanes;
const idle = ({ read: r, write, brake }: ReturnType<typeof at>) =>
  [r, write, brake].every(({ inFlight, waiting }) => inFlight === 0 && waiting === 0);

/** Requests that are held: the ones let in, and those that wait. */
async function fill(
  limited: LimitedApp,
  workspaces: string,
  inFlight: number,
  waiting: number,
): Promise<Promise<Reply>[]> {
  const requests = [...workspaces].map((workspace) => limited.call('operator-1', 'GET', held(workspace)));
  await until('filled', () => at(limited).read.inFlight === inFlight && at(limited).read.waiting === waiting);
  return requests;
}

t.test('when every place is taken, some wait, the rest are refused at once', async (t) => {
  const limited = await limitedApp(t, { inFlight: PLACES, maxWaiting: 3, maxWaitMs: 10_000 });
  const { call, refused } = limited;
  const requests = await fill(limited, 'aabbabc', 4, 3);
  const refusal = await call('operator-1', 'GET', held('a'));
  t.match(refusal, { status: 503, code: 'OVERLOADED' });
  t.ok(refusal.retryAfter >= 1 && refusal.retryAfter <= 3, `after ${refusal.retryAfter} s`);
  t.same(refused, ['in_flight read']);

  t.equal((await call('operator-1', 'POST', '/v1/workspaces/a/write', '{}')).status, 200, 'other lanes are free');
  t.equal((await call('operator-1', 'POST', '/v1/workspaces/a/brake', '{}')).status, 200);
  limited.held.release();
  t.same(new Set((await Promise.all(requests)).map(({ status }) => status)), new Set([200]));
  t.ok(idle(at(limited)));
});

t.test('a workspace whose requests do not end cannot keep out another', async (t) => {
  const limited = await limitedApp(t, { inFlight: PLACES, maxWaiting: 3, maxWaitMs: 10_000 });
  const requests = await fill(limited, 'aaaaa', 2, 3);
  for (let index = 0; index < 5; index += 1) t.equal((await limited.call('operator-1', 'GET', read('b'))).status, 200);
  t.match(at(limited).read, { inFlight: 2, waiting: 3 });
  limited.held.release();
  t.same(new Set((await Promise.all(requests)).map(({ status }) => status)), new Set([200]));
});

t.test('who waits too long is refused', async (t) => {
  const limited = await limitedApp(t, { inFlight: PLACES, maxWaiting: 3, maxWaitMs: 100 });
  const [, , third] = await fill(limited, 'aaa', 2, 1);
  t.match(await third, { status: 503, code: 'OVERLOADED' });
  t.same(limited.refused, ['waited read']);
  t.match(at(limited).read, { inFlight: 2, waiting: 0 });
});

t.test('brakes are let in while all else is full, and have a bound of their own', async (t) => {
  const limited = await limitedApp(t, { inFlight: PLACES, maxWaiting: 0 });
  const { call } = limited;
  const reads = await fill(limited, 'aabb', 4, 0);
  const post = (workspace: string, path: string) =>
    call('operator-1', 'POST', `/v1/workspaces/${workspace}/${path}`, '{}');
  const lasting = ['a', 'b'].map((workspace) => post(workspace, 'write/held'));
  await until('writes too', () => at(limited).write.inFlight === 2);
  t.equal((await call('operator-1', 'GET', read('c'))).status, 503);
  t.equal((await post('c', 'write')).status, 503);
  for (let index = 0; index < 20; index += 1) t.equal((await post('a', 'brake')).status, 200);

  const brakes = ['a', 'b'].map((workspace) => post(workspace, 'brake/held'));
  await until('brakes too', () => at(limited).brake.inFlight === 2);
  t.equal((await post('c', 'brake')).status, 503);
  t.equal(limited.refused.at(-1), 'in_flight brake');
  limited.held.release();
  const answered = await Promise.all([...reads, ...lasting, ...brakes]);
  t.same(new Set(answered.map(({ status }) => status)), new Set([200]));
  t.equal((await post('c', 'brake')).status, 200);
});

t.test('clients that go away leave no place taken', async (t) => {
  const limited = await limitedApp(t, { inFlight: PLACES, maxWaiting: 3, maxWaitMs: 10_000 });
  const send = async (head: string) => {
    const socket = await openTls(limited.port, tls);
    socket.on('error', () => socket.destroy());
    socket.write(`${head}\r\nHost: localhost\r\n`);
    return socket;
  };
  const working = await send(`GET ${held('a')} HTTP/1.1`);
  working.write('\r\n');
  const inBody = await send('POST /v1/workspaces/a/write HTTP/1.1');
  inBody.write('Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{');
  const other = await send(`GET ${held('a')} HTTP/1.1`);
  other.write('\r\n');
  await until('all in', () => at(limited).read.inFlight === 2 && at(limited).write.inFlight === 1);
  const waiting = await send(`GET ${held('a')} HTTP/1.1`);
  waiting.write('\r\n');
  await until('one waits', () => at(limited).read.waiting === 1);

  waiting.destroy();
  await until('nobody waits', () => at(limited).read.waiting === 0);
  inBody.destroy();
  await until('the body is given up', () => at(limited).write.inFlight === 0);
  working.destroy();
  other.destroy();
  t.equal(at(limited).read.inFlight, 2, 'work that is under way still counts');
  limited.held.release();
  await until('the work is done', () => idle(at(limited)));
});

t.test('a late event loop: reads are refused, brakes are not, and it ends by itself', async (t) => {
  let delayMs = 5000;
  const limited = await limitedApp(
    t,
    { eventLoopDelayMs: 200 },
    { eventLoop: { read: () => delayMs, stop: () => undefined } },
  );
  const { app, call, refused } = limited;
  const burst = () => Promise.all(Array.from({ length: 40 }, () => call('operator-1', 'GET', read('a'))));
  await until('overload', () => app.limits.stats().pressure === 0.95);
  await until('refusals', async () => {
    await burst();
    return refused.length > 100;
  });
  t.same(new Set(refused), new Set(['event_loop read']));
  for (let index = 0; index < 50; index += 1) {
    t.equal((await call('operator-1', 'POST', '/v1/workspaces/a/brake', '{}')).status, 200);
  }
  const began = performance.now();
  delayMs = 0;
  await until('calm again', () => app.limits.stats().pressure === 0);
  t.ok(performance.now() - began < 10_000);
  t.same(new Set((await burst()).map(({ status }) => status)), new Set([200]));
});
