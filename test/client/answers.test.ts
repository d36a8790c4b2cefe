import type { ServerResponse } from 'node:http';
import t from 'tap';

import { AGENT, type Behaviour, clientOf, failure, faultyServer, json, problem, STATUS } from './support/faulty.ts';

const TEXT = JSON.stringify(STATUS);

const raw =
  (headers: Record<string, string>, body: string | Buffer, status = 200) =>
  (response: ServerResponse): void => {
    response.writeHead(status, headers).end(body);
  };
const half =
  (headers: Record<string, string>) =>
  (response: ServerResponse): void => {
    response.writeHead(200, { 'content-type': 'application/json', ...headers });
    response.write(TEXT.slice(0, 20), () => response.socket?.destroy());
  };
const endless = (response: ServerResponse): void => {
  response.writeHead(200, { 'content-type': 'application/json' });
  const more = (): void => {
    if (!response.destroyed) response.write('x'.repeat(65_536), more);
  };
  more();
};

/** Answers that are none, and what the client says of them. */
const WRONG: readonly (readonly [string, Behaviour, string])[] = [
  ['cut before its Content-Length', half({ 'content-length': String(TEXT.length) }), 'ANSWER_LOST'],
  ['cut between chunks', half({}), 'ANSWER_LOST'],
  ['HTML', raw({ 'content-type': 'text/html' }, TEXT), 'UNEXPECTED_ANSWER'],
  ['of no type', raw({}, TEXT), 'UNEXPECTED_ANSWER'],
  ['another charset', raw({ 'content-type': 'application/json; charset=latin1' }, TEXT), 'UNEXPECTED_ANSWER'],
  [
    'compressed unasked',
    raw({ 'content-type': 'application/json', 'content-encoding': 'br' }, TEXT),
    'UNEXPECTED_ANSWER',
  ],
  ['no JSON', raw({ 'content-type': 'application/json' }, '{"agentId":'), 'UNEXPECTED_ANSWER'],
  ['an array', raw({ 'content-type': 'application/json' }, '[]'), 'UNEXPECTED_ANSWER'],
  [
    'bytes that are not UTF-8',
    raw({ 'content-type': 'application/json' }, Buffer.from([0x7b, 0xff])),
    'UNEXPECTED_ANSWER',
  ],
  ['empty', raw({ 'content-type': 'application/json' }, ''), 'UNEXPECTED_ANSWER'],
  ['JSON of something else', raw({ 'content-type': 'application/json' }, '{"ok":true}'), 'UNEXPECTED_ANSWER'],
  ['a good answer of another status', raw({ 'content-type': 'application/json' }, TEXT, 201), 'UNEXPECTED_ANSWER'],
  ['a redirect', raw({ location: 'https://example.com/' }, '', 302), 'UNEXPECTED_ANSWER'],
  [
    'an error without a problem document',
    raw({ 'content-type': 'text/html' }, '<h1>502</h1>', 502),
    'UNEXPECTED_ANSWER',
  ],
  ['a problem that contradicts its status', json(404, { status: 200, code: 'X' }), 'UNEXPECTED_ANSWER'],
  ['endless', endless, 'ANSWER_TOO_LARGE'],
];

t.test('a wrong answer is an error, never a result', async (t) => {
  for (const [what, behaviour, code] of WRONG) {
    const server = await faultyServer(t, behaviour);
    const client = await clientOf(t, [server], { retry: { maxAttempts: 2 }, maxAnswerBytes: 1_000_000 });
    const error = await failure(client.request('getAgentStatus', AGENT));
    t.equal(error.code, code, what);
    t.equal(error.attempts, code === 'ANSWER_LOST' ? 2 : 1, `${what}: only a lost answer is asked for again`);
  }
});

t.test('a half answer is asked for again', async (t) => {
  const server = await faultyServer(t, json(200, STATUS));
  server.script(half({ 'content-length': String(TEXT.length) }), half({}));
  const client = await clientOf(t, [server]);
  t.same((await client.request('getAgentStatus', AGENT)).body, STATUS);
  t.equal(server.seen.length, 3);
});

t.test('an acting call with a garbled answer may have happened', async (t) => {
  const server = await faultyServer(t, raw({ 'content-type': 'text/html' }, 'hello'));
  const client = await clientOf(t, [server]);
  const error = await failure(client.request('startAgent', AGENT));
  t.match(error, { kind: 'protocol', maybeApplied: true, attempts: 1 });
});

t.test('503 of a proxy is waited out like one of ours', async (t) => {
  const server = await faultyServer(t, json(200, STATUS));
  server.script(raw({ 'content-type': 'text/html', 'retry-after': '0' }, 'busy', 503));
  const client = await clientOf(t, [server]);
  t.equal((await client.request('getAgentStatus', AGENT)).status, 200);
});

t.test('what a problem document brings is on the error', async (t) => {
  const denial = { code: 'PROOF_MISSING', reason: 'no proof', severity: 'DENY', check: 'proofPresence' };
  const document = {
    type: 'about:blank',
    title: 'Denied',
    status: 403,
    detail: 'The start was denied.',
    instance: 'r-9',
    code: 'ADMISSION_DENIED',
    decisionId: 'd-1',
    denies: [denial, 'nonsense'],
    errors: 'nonsense',
  };
  const server = await faultyServer(t, json(403, document, { 'x-request-id': 'r-9' }));
  const error = await failure((await clientOf(t, [server])).request('startAgent', AGENT));
  t.match(error, { kind: 'problem', status: 403, requestId: 'r-9', decisionId: 'd-1', operation: 'startAgent' });
  t.same(error.denies, [denial], 'only what has the form of a denial');
  t.same(error.errors, []);
  t.equal(error.problem?.title, 'Denied');
});

t.test('lists', async (t) => {
  const page = (items: number, nextCursor: unknown) =>
    json(200, { agents: Array.from({ length: items }, () => STATUS), total: 3, nextCursor });
  const server = await faultyServer(t, problem(500, 'INTERNAL'));
  const client = await clientOf(t, [server]);
  const input = { params: { workspaceId: 'demo' }, query: { limit: 2, page: 1 } };
  const all = async (options = {}): Promise<number> => {
    let count = 0;
    for await (const _ of client.list('listAgentStatuses', input, options)) count += 1;
    return count;
  };
  server.script(page(2, 'abc'), page(1, null));
  t.equal(await all(), 3);
  t.same(
    server.seen.map(({ url }) => url.split('?')[1]),
    ['limit=2&page=1', 'limit=2&cursor=abc'],
  );
  server.script(page(2, 'abc'));
  t.equal(await all({ maxItems: 2 }), 2, 'no page is fetched that is not needed');
  t.equal(server.seen.length, 3);
  server.script(page(1, 'same'), page(1, 'same'));
  t.match(await failure(all()), { kind: 'protocol' }, 'a list that goes in circles ends');
  server.script(page(1, 7));
  t.match(await failure(all()), { kind: 'protocol' });
  server.script(page(1, 'next'));
  t.match(await failure(all()), { code: 'INTERNAL' }, 'a page that fails is an error, not an end');
  const controller = new AbortController();
  server.script(page(2, 'more'));
  const aborted = async (): Promise<void> => {
    for await (const _ of client.list('listAgentStatuses', input, { signal: controller.signal })) controller.abort();
  };
  t.match(await failure(aborted()), { kind: 'aborted' });
});
