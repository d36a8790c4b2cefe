import t from 'tap';

import { laneOf } from '../../src/http/lanes.ts';
import { createMetrics } from '../../src/metrics/metrics.ts';
import { testService } from '../support/service.ts';

t.test('the lane of a route', async (t) => {
  const cases = [
    { method: 'GET', lane: 'read' },
    { method: ['HEAD', 'OPTIONS'], lane: 'read' },
    { method: 'POST', lane: 'write' },
    { method: 'post', lane: 'write' },
    { method: 'DELETE', lane: 'write' },
    { method: 'POST', config: { readOnly: true }, lane: 'read' },
    { method: 'POST', config: { lane: 'brake' as const }, lane: 'brake' },
  ];
  for (const { lane, ...route } of cases) t.equal(laneOf(route), lane, JSON.stringify(route));
});

t.test('the metrics, with labels that cannot grow', async (t) => {
  const metrics = createMetrics({ clock: () => 0, collectProcess: false });
  const lane = { inFlight: 3, waiting: 2, places: 8 };
  metrics.watchLimits(() => ({ lanes: { brake: lane, write: lane, read: lane }, pressure: 0.3 }));
  metrics.limits.refused('workspace_rate', 'read');
  const { text } = await metrics.read();
  t.match(text, /^castellan_requests_limited_total\{reason="workspace_rate",lane="read"\} 1$/m);
  t.match(text, /^castellan_requests_in_flight\{lane="brake"\} 3$/m);
  t.match(text, /^castellan_requests_waiting\{lane="write"\} 2$/m);
  t.match(text, /^castellan_request_places\{lane="read"\} 8$/m);
  t.match(text, /^castellan_overload_level 0.3$/m);
});

t.test('in the service: what stops something goes on, and a refusal writes no event', async (t) => {
  const { database, call } = await testService(t, { limits: { principal: { rate: 1, burst: 1 } } });
  const events = async () => (await database.query('SELECT count(*)::int AS count FROM audit_events')).rows;
  const agent = '/v1/workspaces/demo/agents/01975a00-0000-7000-8000-00000000000a';
  const before = await events();
  for (const [method, path] of [
    ['GET', agent],
    ['POST', `${agent}/start`],
    ['POST', '/v1/workspaces/demo/agents:batch'],
    ['GET', '/v1/nowhere'],
  ] as const) {
    // Some of them may find the token of the second that has passed.
    const statuses = await Promise.all([1, 2, 3].map(async () => (await call('kernel-admin', method, path)).status));
    t.ok(statuses.includes(429), `${method} ${path}: ${statuses}`);
  }
  for (const [path, body] of [
    [`${agent}/stop`, undefined],
    [`${agent}/quarantine`, { reason: 'test' }],
    ['/v1/signers/nobody/revoke', { reason: 'test' }],
  ] as const) {
    const answers = await Promise.all([1, 2, 3].map(() => call('kernel-admin', 'POST', path, body)));
    t.same(
      answers.map(({ status }) => status),
      [404, 404, 404],
      path,
    );
  }
  t.same(await events(), before);
});
