import t from 'tap';

import type { RetryEvent } from '../../packages/client/src/index.ts';
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
  silence,
  timed,
} from './support/faulty.ts';

const good = json(200, STATUS, { etag: '"1"', 'x-request-id': 'r-1' });

t.test('a read is repeated through resets, 503 and 429', async (t) => {
  const server = await faultyServer(t, good);
  server.script(reset, problem(503, 'OVERLOADED'), problem(429, 'RATE_LIMITED'));
  const retries: RetryEvent[] = [];
  const client = await clientOf(t, [server], { hooks: { onRetry: (event) => retries.push(event) } });
  const answer = await client.request('getAgentStatus', AGENT);
  t.match(answer, { status: 200, body: STATUS, etag: '"1"', requestId: 'r-1', replayed: false });
  t.same(
    retries.map(({ error, attempt }) => [attempt, error.code]),
    [
      [1, 'ANSWER_LOST'],
      [2, 'OVERLOADED'],
      [3, 'RATE_LIMITED'],
    ],
  );
  t.equal(server.seen[0]?.headers['idempotency-key'], undefined, 'a read needs no key');
  const ids = server.seen.map(({ headers }) => String(headers['x-request-id']));
  t.equal(new Set(ids.map((id) => id.split('.')[0])).size, 1, 'one call');
  t.same(
    ids.map((id) => id.split('.')[1]),
    ['1', '2', '3', '4'],
  );
});

t.test('a connection cut before the request was read', async (t) => {
  const server = await faultyServer(t, json(200, STARTED));
  server.cutConnections(2);
  const client = await clientOf(t, [server]);
  t.match((await client.request('startAgent', AGENT)).body, STARTED);
  t.equal(server.connections(), 3);
  t.equal(server.seen.length, 1);
});

t.test('a POST whose first answer was lost is repeated under the same key', async (t) => {
  const server = await faultyServer(t, json(200, STARTED, { 'idempotent-replayed': 'true' }));
  server.script(reset, problem(409, 'IDEMPOTENCY_IN_FLIGHT'));
  const client = await clientOf(t, [server]);
  const { replayed } = await client.request('startAgent', { ...AGENT, body: { replicas: 2 } });
  t.equal(replayed, true);
  t.equal(server.seen.length, 3);
  t.equal(new Set(server.seen.map(({ headers }) => headers['idempotency-key'])).size, 1);
  t.match(server.seen[0]?.headers['idempotency-key'], /^[0-9a-f-]{36}$/);
  t.same(new Set(server.seen.map(({ body }) => body)), new Set(['{"replicas":2}']));

  await client.request('startAgent', AGENT, { idempotencyKey: 'mine' });
  t.equal(server.seen.at(-1)?.headers['idempotency-key'], 'mine');
  await client.request('startAgent', AGENT);
  t.not(server.seen.at(-1)?.headers['idempotency-key'], server.seen[0]?.headers['idempotency-key']);
});

t.test('other conflicts are answers, and so is every other error', async (t) => {
  const server = await faultyServer(t, good);
  const client = await clientOf(t, [server]);
  for (const [status, code] of [
    [409, 'CONFLICT'],
    [422, 'IDEMPOTENCY_KEY_REUSED'],
    [500, 'INTERNAL'],
    [403, 'ADMISSION_DENIED'],
  ] as const) {
    server.script(problem(status, code));
    t.match(await failure(client.request('startAgent', AGENT)), { code, status, attempts: 1, retryable: false });
  }
});

t.test('a PATCH is repeated by what is known of the first', async (t) => {
  const agent = { id: 'x' };
  const patch = { ...AGENT, body: { spec: {} } };
  const server = await faultyServer(t, problem(412, 'PRECONDITION_FAILED'));
  const client = await clientOf(t, [server]);
  server.script(reset);
  const bare = await failure(client.request('patchAgent', patch));
  t.match(bare, { code: 'ANSWER_LOST', attempts: 1, maybeApplied: true }, 'it may have been done');
  server.script(problem(503, 'DATABASE_UNAVAILABLE'));
  t.match(await failure(client.request('patchAgent', patch)), { attempts: 2, maybeApplied: false }, 'it was not done');
  server.script(reset);
  const bound = await failure(client.request('patchAgent', patch, { ifMatch: '"1"' }));
  t.match(bound, { code: 'PRECONDITION_FAILED', attempts: 2, maybeApplied: true }, 'the first may be why');
  t.equal(server.seen.at(-1)?.headers['if-match'], '"1"');
  t.same(agent, { id: 'x' });
});

t.test('a DELETE is repeated, and says when the 404 may be its own doing', async (t) => {
  const server = await faultyServer(t, problem(404, 'NOT_FOUND'));
  const client = await clientOf(t, [server]);
  server.script((response) => response.writeHead(204).end());
  t.match(await client.request('deleteAgent', AGENT), { status: 204, body: undefined });
  server.script(reset);
  t.match(await failure(client.request('deleteAgent', AGENT)), { code: 'NOT_FOUND', maybeApplied: true, attempts: 2 });
  t.match(await failure(client.request('deleteAgent', AGENT)), { code: 'NOT_FOUND', maybeApplied: false });
});

t.test('Retry-After is honoured, in seconds and as a date', async (t) => {
  const server = await faultyServer(t, good);
  const delays: number[] = [];
  const client = await clientOf(t, [server], { hooks: { onRetry: ({ delayMs }) => delays.push(delayMs) } });
  server.script(problem(503, 'OVERLOADED', { 'retry-after': '1' }));
  t.ok((await timed(() => client.request('getAgentStatus', AGENT))) >= 1000);
  // Dates have whole seconds: this one is 2 to 3 s away.
  server.script((...asked) =>
    problem(429, 'RATE_LIMITED', { 'retry-after': new Date(Date.now() + 3000).toUTCString() })(...asked),
  );
  t.ok((await timed(() => client.request('getAgentStatus', AGENT))) >= 1000);
  const [seconds = 0, date = 0] = delays;
  // What has passed since the answer came counts.
  t.ok(seconds > 500 && seconds < 1100, `${seconds} ms`);
  t.ok(date > 500 && date < 3100, `${date} ms`);
});

t.test('a Retry-After past the deadline ends the call at once', async (t) => {
  const server = await faultyServer(t, problem(503, 'OVERLOADED', { 'retry-after': '60' }));
  const client = await clientOf(t, [server]);
  const took = await timed(async () => {
    const error = await failure(client.request('getAgentStatus', AGENT, { deadlineMs: 20_000 }));
    t.match(error, { code: 'OVERLOADED', attempts: 1, retryable: true, retryAfterMs: 60_000 });
  });
  t.ok(took < 5000);
});

t.test('the deadline holds, whatever the server does', async (t) => {
  const server = await faultyServer(t, silence);
  const client = await clientOf(t, [server], { retry: { maxAttempts: 1000 } });
  const drip = setInterval(() => undefined, 1000);
  t.teardown(() => clearInterval(drip));
  const slowBody = (response: import('node:http').ServerResponse): void => {
    response.writeHead(200, { 'content-type': 'application/json' });
    const timer = setInterval(() => response.write(' '), 10);
    response.on('close', () => clearInterval(timer));
  };
  for (const script of [[], [slowBody], Array.from({ length: 1000 }, () => reset)]) {
    server.script(...script);
    const took = await timed(async () => {
      const error = await failure(client.request('startAgent', AGENT, { deadlineMs: 300 }));
      t.ok(error.kind === 'timeout' || error.code === 'ANSWER_LOST', error.code);
      t.equal(error.maybeApplied, true);
      t.match(error.idempotencyKey, /^[0-9a-f-]{36}$/);
    });
    t.ok(took < 5000, `${took} ms`);
  }
});

t.test('an attempt that takes too long is given up, and the call goes on', async (t) => {
  const server = await faultyServer(t, good);
  server.script(silence);
  const client = await clientOf(t, [server], { attemptTimeoutMs: 200 });
  t.match((await client.request('getAgentStatus', AGENT)).body, STATUS);
  t.equal(server.seen.length, 2);
});

t.test('a storm is not amplified', async (t) => {
  const server = await faultyServer(t, problem(503, 'OVERLOADED'));
  const budget = { ratio: 0.1, perSecond: 0.001, capacity: 20 };
  const client = await clientOf(t, [server], { retry: { budget } });
  const calls = 300;
  for (let round = 0; round < 10; round += 1) {
    const failures = Array.from({ length: calls / 10 }, () => failure(client.request('getAgentStatus', AGENT)));
    for (const error of await Promise.all(failures)) t.equal(error.code, 'OVERLOADED');
  }
  t.ok(server.seen.length >= calls, 'every call was made');
  t.ok(server.seen.length <= calls * 1.1 + 20, `${server.seen.length} requests for ${calls} calls`);
});

t.test('an abort ends a request, a wait and an iteration', async (t) => {
  const server = await faultyServer(t, silence);
  const controller = new AbortController();
  const client = await clientOf(t, [server], { hooks: { onRetry: () => controller.abort('enough') } });
  server.script(problem(503, 'OVERLOADED', { 'retry-after': '20' }));
  const took = await timed(async () => {
    const waiting = await failure(client.request('getAgentStatus', AGENT, { signal: controller.signal }));
    t.match(waiting, { kind: 'aborted', cause: 'enough', attempts: 1 });
  });
  t.ok(took < 10_000);
  const during = new AbortController();
  server.script(() => during.abort('now'));
  const error = await failure(client.request('startAgent', AGENT, { signal: during.signal }));
  t.match(error, { kind: 'aborted', cause: 'now', maybeApplied: true });
});
