import t from 'tap';
import { createMetrics } from '../../src/metrics/metrics.ts';
import { metricsPlugin } from '../../src/metrics/plugin.ts';
import { testAuthority } from '../certs/material.ts';
import { buildApp } from '../http/fixture.ts';

const fresh = (clock = () => 0) => createMetrics({ clock, collectProcess: false });

t.test('the names of the contract are there from the first scrape', async (t) => {
  const { text, contentType } = await fresh().read();
  t.match(contentType, /text\/plain/);
  const names = [
    'agent_starts_allowed_total',
    'agent_starts_denied_total',
    'agent_invalidation_events_total',
    'policy_reload_success_total',
    'policy_reload_failure_total',
    'promotion_attempts_total',
    'promotion_denies_total',
    'http_request_duration_seconds',
    'admission_duration_seconds',
    'policy_decision_duration_seconds',
    'audit_append_batch_size',
    'audit_sign_duration_seconds',
    'audit_events_total',
    'audit_queue_depth',
    'signer_errors_total',
    'db_pool_connections',
    'certificate_days_left',
    'policy_version_info',
  ];
  for (const name of names) t.match(text, new RegExp(`^# TYPE castellan_${name} `, 'm'), name);
  t.match(text, /^castellan_audit_events_dropped_total 0$/m);
});

t.test('each app counts for itself', async (t) => {
  const [one, other] = [fresh(), fresh()];
  one.agents.allowed();
  t.match((await one.read()).text, /^castellan_agent_starts_allowed_total 1$/m);
  t.match((await other.read()).text, /^castellan_agent_starts_allowed_total 0$/m);
});

t.test('label values are bounded', async (t) => {
  const metrics = fresh();
  metrics.agents.denied('PROOF_MISSING');
  for (let index = 0; index < 500; index += 1) {
    metrics.agents.denied(`CODE_OF_A_POLICY_${index}`);
    metrics.promotion.denied(`CODE_OF_A_POLICY_${index}`);
    metrics.policy.activated('default', `sha256:${index}`);
    metrics.http.answered(`M${index}`, '/x', 200, 0.01);
  }
  const { text } = await metrics.read();
  t.match(text, /^castellan_agent_starts_denied_total\{reason="PROOF_MISSING"\} 1$/m);
  t.match(text, /^castellan_agent_starts_denied_total\{reason="OTHER"\} 500$/m);
  t.equal(text.match(/^castellan_policy_version_info\{/gm)?.length, 50);
  t.match(text, /hash="sha256:499"/);
  t.equal(text.match(/^castellan_http_request_duration_seconds_count\{/gm)?.length, 1);
});

t.test('watched values are those of the moment', async (t) => {
  let now = 0;
  const metrics = fresh(() => now);
  const pool = { total: 3, idle: 1, waiting: 0 };
  metrics.watchPool('app', () => pool);
  metrics.watchEndings(() => [
    { certificate: 'server', notAfter: 10 * 86_400_000 },
    { certificate: 'client_ca', notAfter: 7 * 86_400_000 },
  ]);
  pool.waiting = 7;
  now = 4 * 86_400_000;
  const { text } = await metrics.read();
  t.match(text, /pool="app",state="busy"\} 2$/m);
  t.match(text, /pool="app",state="waiting"\} 7$/m);
  t.match(text, /castellan_certificate_days_left\{certificate="server"\} 6$/m);
  t.match(text, /castellan_certificate_days_left\{certificate="earliest"\} 3$/m);
});

t.test('requests are measured under the pattern of their route', async (t) => {
  const metrics = fresh();
  const app = await buildApp({
    ...(await testAuthority()),
    routes: (instance) => instance.register(metricsPlugin, { metrics }),
  });
  t.teardown(() => app.close());
  await app.inject('/v1/workspaces/demo/agents');
  await app.inject('/v1/workspaces/demo/agents?limit=x');
  await app.inject('/some/path/of/a/stranger');
  t.equal(app.metrics, metrics);
  const { text } = await metrics.read();
  const count = (route: string, status: number) =>
    `castellan_http_request_duration_seconds_count{method="GET",route="${route}",status="${status}"} 1`;
  t.ok(text.includes(count('/v1/workspaces/:workspaceId/agents', 200)));
  t.ok(text.includes(count('/v1/workspaces/:workspaceId/agents', 400)));
  t.ok(text.includes(count('unmatched', 404)));
  t.notMatch(text, /stranger/);
});
