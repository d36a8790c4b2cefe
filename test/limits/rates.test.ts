import t from 'tap';

import { openTls, sendRaw } from '../http/fixture.ts';
import { limitedApp, type Reply, tls } from './fixture.ts';

const TINY = { rate: 1, burst: 3 };
const AMPLE = { rate: 10_000, burst: 10_000 };
const READ = '/v1/workspaces/demo/read';

async function repeat(times: number, request: () => Promise<Reply>): Promise<Reply[]> {
  const replies: Reply[] = [];
  for (let index = 0; index < times; index += 1) replies.push(await request());
  return replies;
}

const statuses = (replies: readonly Reply[]) => replies.map(({ status }) => status);

t.test('a noisy principal is refused, another is served', async (t) => {
  const { call, refused, errors } = await limitedApp(t, { principal: TINY, workspace: AMPLE });
  const replies = await repeat(5, () => call('operator-noisy', 'GET', READ));
  t.same(statuses(replies), [200, 200, 200, 429, 429]);
  const [last] = replies.slice(-1);
  t.equal(last?.code, 'RATE_LIMITED');
  t.ok(last !== undefined && last.retryAfter >= 1 && last.retryAfter <= 3, `after ${last?.retryAfter} s`);
  t.equal((await call('operator-quiet', 'GET', READ)).status, 200);
  t.same(refused, ['principal_rate read', 'principal_rate read']);
  t.same(errors, [], 'a refusal is no error and no denied access: nothing is audited');
});

t.test('what it names as Retry-After is long enough', async (t) => {
  const { call } = await limitedApp(t, { principal: TINY, workspace: AMPLE });
  await repeat(3, () => call('operator-noisy', 'GET', READ));
  const { status, retryAfter } = await call('operator-noisy', 'GET', READ);
  t.equal(status, 429);
  await new Promise((resolve) => setTimeout(resolve, retryAfter * 1000));
  t.equal((await call('operator-noisy', 'GET', READ)).status, 200);
});

t.test('refused access and unknown paths count too', async (t) => {
  const { call, errors } = await limitedApp(t, { principal: TINY, workspace: AMPLE });
  const denied = await repeat(6, () => call('auditor-noisy', 'POST', '/v1/workspaces/demo/write', '{}'));
  t.same(statuses(denied), [403, 403, 403, 429, 429, 429]);
  t.equal(errors.length, 3, 'so that nobody fills the audit with denials');
  t.same(statuses(await repeat(5, () => call('operator-lost', 'GET', '/nowhere'))), [404, 404, 404, 429, 429]);
});

t.test('a noisy workspace is refused, another is served', async (t) => {
  const { call, refused } = await limitedApp(t, { principal: AMPLE, workspace: TINY });
  const many = ['operator-1', 'operator-2', 'operator-3', 'operator-4', 'operator-5'];
  const replies = await Promise.all(many.map((who) => call(who, 'GET', READ)));
  t.same(statuses(replies).sort(), [200, 200, 200, 429, 429]);
  t.equal((await call('operator-1', 'GET', '/v1/workspaces/other/read')).status, 200);
  t.same(refused, ['workspace_rate read', 'workspace_rate read']);
});

t.test('a stranger cannot use up a workspace, nor learn how busy it is', async (t) => {
  const { call } = await limitedApp(t, { principal: AMPLE, workspace: TINY });
  const replies = await repeat(10, () => call('operator-stranger', 'GET', READ));
  t.same([...new Set(statuses(replies))], [404]);
  t.same(statuses(await repeat(3, () => call('operator-1', 'GET', READ))), [200, 200, 200]);
});

t.test('brakes have a bound of their own', async (t) => {
  const { call, refused } = await limitedApp(t, { principal: TINY, workspace: TINY, brake: { rate: 1, burst: 5 } });
  await repeat(4, () => call('operator-noisy', 'GET', READ));
  t.equal((await call('operator-noisy', 'GET', READ)).status, 429);
  const brakes = await repeat(6, () => call('operator-noisy', 'POST', '/v1/workspaces/demo/brake', '{}'));
  t.same(statuses(brakes), [200, 200, 200, 200, 200, 429]);
  t.equal(refused.at(-1), 'principal_rate brake');
  t.equal((await call('operator-other', 'POST', '/v1/workspaces/demo/write', '{}')).status, 429, 'demo was used up');
});

t.test('a refusal comes before the body, and ends a connection whose body is large', async (t) => {
  const { port } = await limitedApp(t, { principal: { rate: 1, burst: 1 }, workspace: AMPLE });
  const head = (...lines: string[]) =>
    [
      'POST /v1/workspaces/demo/write HTTP/1.1',
      'Host: localhost',
      'Content-Type: application/json',
      ...lines,
      '',
      '',
    ].join('\r\n');
  const first = await sendRaw(await openTls(port, tls), `${head('Content-Length: 2', 'Connection: close')}{}`);
  t.equal(first.status, 200);
  for (const body of ['Content-Length: 1000000', 'Content-Length: 99999999999', 'Transfer-Encoding: chunked']) {
    const began = performance.now();
    const answer = await sendRaw(await openTls(port, tls), head(body));
    t.match(answer, { status: 429, closed: true, headers: /\r\nretry-after: \d/i }, body);
    t.match(answer.headers, /\r\nconnection: close/i);
    t.ok(performance.now() - began < 2_000, 'although the body never came');
  }
});

t.test('a refused request with a small body leaves its connection in order', async (t) => {
  const { port } = await limitedApp(t, { principal: { rate: 1, burst: 1 }, workspace: AMPLE });
  const body = JSON.stringify({ text: 'GET /v1/workspaces/demo/read HTTP/1.1\r\n\r\n'.repeat(100) });
  const post = (who: string, ...more: string[]) =>
    [
      'POST /v1/workspaces/demo/write HTTP/1.1',
      'Host: localhost',
      `X-Who: ${who}`,
      'Content-Type: application/json',
      `Content-Length: ${body.length}`,
      ...more,
      '',
      body,
    ].join('\r\n');
  const bytes = post('operator-1') + post('operator-1') + post('operator-1') + post('operator-2', 'Connection: close');
  const socket = await openTls(port, tls);
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
  });
  const { closed } = await sendRaw(socket, bytes);
  t.ok(closed);
  t.same(
    [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map((match) => match[1]),
    ['200', '429', '429', '200'],
  );
});

t.test('whoever goes on at once is answered later', async (t) => {
  const { port } = await limitedApp(t, { principal: { rate: 1, burst: 1 }, workspace: AMPLE });
  const socket = await openTls(port, tls);
  t.teardown(() => socket.destroy());
  let answers = 0;
  socket.on('data', (chunk: Buffer) => {
    answers += chunk.toString('latin1').split('HTTP/1.1 ').length - 1;
  });
  const took: number[] = [];
  for (let index = 1; index <= 11; index += 1) {
    const began = performance.now();
    socket.write(`GET ${READ} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    while (answers < index) await new Promise((resolve) => socket.once('data', resolve));
    took.push(performance.now() - began);
  }
  t.ok(Math.max(...took.slice(1, 9)) < 200, `at first ${took}`);
  t.ok(Math.min(...took.slice(9)) >= 200, `then ${took}`);
});
