import t from 'tap';
import { traceIdOf } from '../../src/http/request-context.ts';
import { testAuthority } from '../certs/material.ts';
import { buildApp } from './fixture.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';

t.test('traceparent', async (t) => {
  t.equal(traceIdOf(`00-${TRACE}-${SPAN}-01`), TRACE);
  t.equal(traceIdOf(`cc-${TRACE}-${SPAN}-01-what-comes`), TRACE, 'a later version may have more');
  const refused = [
    undefined,
    '',
    `00-${TRACE}-${SPAN}-01-more`,
    `ff-${TRACE}-${SPAN}-01`,
    `00-${'0'.repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}-1`,
  ];
  for (const header of refused) t.equal(traceIdOf(header), undefined, String(header));
});

t.test('request ids and traces over HTTP', async (t) => {
  const app = await buildApp(await testAuthority());
  t.teardown(() => app.close());
  const url = '/v1/workspaces/demo/agents';

  const good = await app.inject({ url, headers: { 'x-request-id': 'a.B-9_', traceparent: `00-${TRACE}-${SPAN}-01` } });
  t.equal(good.headers['x-request-id'], 'a.B-9_');
  t.equal(good.json().traceId, TRACE);

  for (const id of ['a b', 'a;b', 'x'.repeat(129), 'ü', '{"a":1}']) {
    const answer = await app.inject({ url, headers: { 'x-request-id': id } });
    t.match(answer.headers['x-request-id'], /^[0-9a-f]{8}-[0-9a-f-]{27}$/, id);
    t.match(answer.json().traceId, /^[0-9a-f]{32}$/);
  }
  const missing = await app.inject('/nowhere');
  t.equal(missing.json().instance, missing.headers['x-request-id']);
});
