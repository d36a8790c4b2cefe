import t from 'tap';
import { testAuthority } from '../certs/material.ts';
import { buildApp } from './fixture.ts';

const material = await testAuthority();
const app = await buildApp(material);
t.teardown(() => app.close());

const AGENTS = '/v1/workspaces/demo/agents';
const STOP = `${AGENTS}/x/stop`;
const json = { 'content-type': 'application/json' };

const cases = [
  { why: 'a good body', url: AGENTS, headers: json, payload: '{"name":"a"}', status: 201 },
  {
    why: 'a charset changes nothing',
    url: AGENTS,
    headers: { 'content-type': 'application/json; charset=utf-8' },
    payload: '{"name":"a"}',
    status: 201,
  },
  {
    why: 'unknown member',
    url: AGENTS,
    headers: json,
    payload: '{"name":"a","actor":"root"}',
    status: 400,
    code: 'VALIDATION_FAILED',
    pointer: '/actor',
  },
  {
    why: 'missing member',
    url: AGENTS,
    headers: json,
    payload: '{}',
    status: 400,
    code: 'VALIDATION_FAILED',
    pointer: '/name',
  },
  {
    why: 'bodies are not coerced',
    url: AGENTS,
    headers: json,
    payload: '{"name":"a","count":"7"}',
    status: 400,
    code: 'VALIDATION_FAILED',
    pointer: '/count',
  },
  {
    why: 'a duplicate key',
    url: AGENTS,
    headers: json,
    payload: '{"name":"a","name":"b"}',
    status: 400,
    code: 'MALFORMED_JSON',
  },
  {
    why: '__proto__',
    url: AGENTS,
    headers: json,
    payload: '{"name":"a","__proto__":{}}',
    status: 400,
    code: 'MALFORMED_JSON',
  },
  { why: 'not JSON', url: AGENTS, headers: json, payload: '{', status: 400, code: 'MALFORMED_JSON' },
  {
    why: 'no body where one is needed',
    url: AGENTS,
    headers: {},
    payload: '',
    status: 400,
    code: 'VALIDATION_FAILED',
    pointer: '',
  },
  {
    why: 'too large',
    url: AGENTS,
    headers: json,
    payload: `"${'x'.repeat(1_048_577)}"`,
    status: 413,
    code: 'BODY_TOO_LARGE',
  },
  {
    why: 'plain text',
    url: AGENTS,
    headers: { 'content-type': 'text/plain' },
    payload: '{"name":"a"}',
    status: 415,
    code: 'UNSUPPORTED_MEDIA_TYPE',
  },
  {
    why: 'a body without a type',
    url: AGENTS,
    headers: {},
    payload: '{"name":"a"}',
    status: 415,
    code: 'UNSUPPORTED_MEDIA_TYPE',
  },
  {
    why: 'a broken type',
    url: AGENTS,
    headers: { 'content-type': 'nonsense' },
    payload: '{}',
    status: 415,
    code: 'UNSUPPORTED_MEDIA_TYPE',
  },
  {
    why: 'a merge patch that is not a PATCH',
    url: AGENTS,
    headers: { 'content-type': 'application/merge-patch+json' },
    payload: '{"name":"a"}',
    status: 415,
    code: 'UNSUPPORTED_MEDIA_TYPE',
  },
  { why: 'an optional body left out', url: STOP, headers: {}, payload: '', status: 200 },
  { why: 'an optional body, empty with a type', url: STOP, headers: json, payload: '', status: 200 },
  {
    why: "curl -d ''",
    url: STOP,
    headers: { 'content-type': 'application/x-www-form-urlencoded', 'content-length': '0' },
    payload: '',
    status: 200,
  },
  { why: 'an optional body', url: STOP, headers: json, payload: '{"reason":"r"}', status: 200 },
  {
    why: 'an optional body is closed too',
    url: STOP,
    headers: json,
    payload: '{"force":true}',
    status: 400,
    code: 'VALIDATION_FAILED',
  },
];

for (const { why, url, headers, payload, status, code, pointer } of cases) {
  t.test(why, async (t) => {
    const sent = payload === '' ? {} : { payload };
    const answer = await app.inject({ method: 'POST', url, headers, ...sent });
    t.equal(answer.statusCode, status, answer.body);
    if (code !== undefined) t.equal(answer.json().code, code);
    if (pointer !== undefined) t.equal(answer.json().errors[0].pointer, pointer);
  });
}

t.test('PATCH takes a merge patch, and JSON', async (t) => {
  for (const type of ['application/merge-patch+json', 'application/json']) {
    const answer = await app.inject({
      method: 'PATCH',
      url: `${AGENTS}/x`,
      headers: { 'content-type': type },
      payload: '{"a":null}',
    });
    t.equal(answer.statusCode, 200);
    t.same(answer.json().body, { a: null });
  }
});

t.test('a body with a hundred thousand faults is answered with few of them', async (t) => {
  const members = Array.from({ length: 60_000 }, (_, index) => `"m${index}":0`).join(',');
  const answer = await app.inject({ method: 'POST', url: AGENTS, headers: json, payload: `{"name":"a",${members}}` });
  t.equal(answer.statusCode, 400);
  t.equal(answer.json().errors.length, 32);
});

t.test('query strings are numbers only in the plain spelling', async (t) => {
  t.same((await app.inject(`${AGENTS}?limit=7`)).json().query, { limit: 7 });
  for (const limit of ['', '1e2', '007', '%207', '0x7', '7.0', '501', '0', '-1', '1&limit=2', 'true']) {
    const answer = await app.inject(`${AGENTS}?limit=${limit}`);
    t.equal(answer.statusCode, 400, limit);
    t.equal(answer.json().errors[0].pointer, '/query/limit');
  }
  t.equal((await app.inject(`${AGENTS}?nope=1`)).json().errors[0].pointer, '/query/nope');
});

t.test('an operation without query members takes none', async (t) => {
  t.equal((await app.inject({ method: 'POST', url: `${STOP}?` })).statusCode, 200);
  for (const [query, pointer] of [
    ['dryRun=true', '/query/dryRun'],
    ['__proto__=1', '/query/__proto__'],
    ['a%2fb', '/query/a~1b'],
    ['=', '/query/'],
  ] as const) {
    const answer = await app.inject({ method: 'POST', url: `${STOP}?${query}`, headers: json, payload: '{}' });
    t.equal(answer.statusCode, 400, query);
    t.equal(answer.json().errors[0].pointer, pointer);
  }
});
