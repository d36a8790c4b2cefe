import { readFileSync } from 'node:fs';
import t, { type Test } from 'tap';

import { verifyJson } from '../audit-verify/support/run.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { type Answer, type TestService, testService } from '../support/service.ts';
import { devHome, startDev } from './dev.ts';

const WORKSPACES = ['demo', 'other', 'third'] as const;
const WRITERS = 64;
const STARTS = 50;

const example = (name: string) => readFileSync(new URL(`../../examples/${name}`, import.meta.url), 'utf8');
const AGENT = example('agent.json');
const RELAXED = JSON.parse(example('policy-relaxed.json'));
const STRICT = JSON.parse(example('policy-strict.json'));

const one = await testService(t);
const two = await testService(t, { replicaOf: one });
const replicas = [one, two] as const;
await one.service.ensureWorkspace('third');

/** The same caller on either replica, in turn. */
function replica(turn: number): TestService {
  return turn % 2 === 0 ? one : two;
}

async function createAgent(at: TestService, workspaceId: string): Promise<string> {
  const created = await at.call('kernel-admin', 'POST', `/v1/workspaces/${workspaceId}/agents`, AGENT);
  if (created.status !== 201) throw new Error(`not created: ${created.text}`);
  return `/v1/workspaces/${workspaceId}/agents/${String(created.body.id)}`;
}

function hotReload(at: TestService, workspaceId: string, body: unknown): Promise<Answer> {
  return at.call('kernel-admin', 'POST', `/v1/workspaces/${workspaceId}/policy/hotreload`, body);
}

/** Every chain is 1, 2, 3, … with each event bound to the one before, and the verifier agrees. */
async function requireSoundChains(test: Test, database: TestDatabase): Promise<void> {
  const { rows: gaps } = await database.query(
    `SELECT chain, count(*), max(seq) FROM audit_events GROUP BY chain
     HAVING count(*) <> max(seq) OR min(seq) <> 1 OR count(DISTINCT seq) <> count(*) OR count(DISTINCT prev_hash) <> count(*)`,
  );
  test.same(gaps, [], 'no gap, no duplicate, no fork');
  const { rows: broken } = await database.query(
    `SELECT chain, seq FROM (
       SELECT chain, seq, prev_hash, lag(hash) OVER (PARTITION BY chain ORDER BY seq) AS before FROM audit_events) AS e
     WHERE seq > 1 AND prev_hash IS DISTINCT FROM before`,
  );
  test.same(broken, [], 'each event names the hash of the one before');
  const { code, report } = await verifyJson(['--database-url', database.superuserUrl]);
  test.equal(code, 0);
  test.same(report.findings, []);
}

t.test('many writers over two replicas leave linear chains', async (t) => {
  const write = async (writer: number): Promise<string[]> => {
    const agent = await createAgent(replica(writer), WORKSPACES[writer % WORKSPACES.length] ?? 'demo');
    const outcomes: string[] = [];
    const steps = ['start', 'promote', 'start', 'stop', 'start', 'stop'];
    for (const [turn, step] of steps.entries()) {
      const answer = await replica(writer + turn + 1).call('kernel-admin', 'POST', `${agent}/${step}`);
      outcomes.push(`${step} ${answer.status} ${answer.body.success}`);
    }
    return outcomes;
  };
  const outcomes = await Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(writer)));
  const expected = ['start 200', 'promote 200', 'start 200', 'stop 200', 'start 200', 'stop 200'];
  for (const outcome of outcomes)
    t.same(
      outcome,
      expected.map((step) => `${step} true`),
    );
  const { rows } = await one.database.query(
    `SELECT event_type, count(*)::int FROM audit_events WHERE event_type = ANY($1) GROUP BY 1 ORDER BY 1`,
    [['agent.created', 'agent.promoted', 'promotion.granted', 'agent.start.allowed', 'agent.stopped']],
  );
  t.ok(rows.length >= 3);
  t.equal(rows.find((row) => row.event_type === 'agent.created')?.count, WRITERS);
  await requireSoundChains(t, one.database);
});

t.test('one agent, fifty starts over both replicas: one of them starts it', async (t) => {
  const agent = await createAgent(one, 'demo');
  const answers = await Promise.all(
    Array.from({ length: STARTS }, (_, turn) => replica(turn).call('operator', 'POST', `${agent}/start`)),
  );
  t.ok(answers.every(({ status, body }) => status === 200 && body.success === true && body.status === 'running'));
  t.equal(answers.filter(({ body }) => body.alreadyRunning === true).length, STARTS - 1);
  const { rows } = await one.database.query(
    `SELECT count(*)::int FROM audit_events WHERE event_type = 'agent.start.allowed' AND payload::text LIKE $1`,
    [`%${agent.split('/').at(-1)}%`],
  );
  t.equal(rows[0].count, 1);
});

t.test('a policy activated on one replica decides the next start and promotion on the other', async (t) => {
  const governed = await createAgent(one, 'third');
  t.equal((await two.call('kernel-admin', 'POST', `${governed}/promote`)).body.success, true);

  const relaxed = await hotReload(one, 'third', RELAXED);
  t.equal(relaxed.status, 200, relaxed.text);
  const started = await two.call('kernel-admin', 'POST', `${governed}/start`);
  t.equal(started.body.admission?.policyHash, relaxed.body.newHash, started.text);

  const sandbox = await createAgent(one, 'third');
  t.equal((await hotReload(one, 'third', STRICT)).body.revalidation.state, 'done');
  const promoted = await two.call('kernel-admin', 'POST', `${sandbox}/promote`);
  t.match(promoted.body, { success: false, denies: [{ code: 'BUDGET_EXCEEDED' }] });
  const refused = await two.call('kernel-admin', 'POST', `${governed}/start`);
  t.match(refused, { status: 403, body: { code: 'AGENT_QUARANTINED' } });
});

t.test('hot reloads at once over both replicas: one after the other, and both agree on the last', async (t) => {
  // None is the shipped limit: that content is active, and putting it in force again replaces nothing.
  const limits = [1050, 1100, 1200, 1300, 1400, 1500, 1600, 1700];
  const answers = await Promise.all(
    limits.map((monthlyUsd, turn) => {
      const castellan = { ...RELAXED.bundle.data.castellan, budget: { monthlyUsd } };
      return hotReload(replica(turn), 'other', { ...RELAXED, bundle: { ...RELAXED.bundle, data: { castellan } } });
    }),
  );
  for (const { status, text } of answers) t.equal(status, 200, text);
  const [a, b] = await Promise.all(
    replicas.map((at) => at.call('kernel-admin', 'GET', '/v1/workspaces/other/policy/snapshot')),
  );
  t.equal(a?.body.hash, b?.body.hash);
  const { rows } = await one.database.query(
    `SELECT payload->>'policyHash' AS hash FROM audit_events WHERE chain = 'other' AND event_type = 'policy.activated'
     ORDER BY seq DESC LIMIT 1`,
  );
  t.equal(a?.body.hash, rows[0].hash);
  const olds = answers.map(({ body }) => body.oldHash);
  t.equal(new Set(olds).size, olds.length, 'each replaced another one');
  await requireSoundChains(t, one.database);
});

t.test('two instances boot at once on an empty database', async (t) => {
  const database = await testDatabase(t, { empty: true });
  const { env } = await devHome(t);
  const shared = { ...env, DATABASE_URL: database.superuserUrl };
  const both = await Promise.all([startDev(t, shared), startDev(t, shared)]);
  for (const { call } of both) {
    const created = await call('operator', 'POST', '/v1/workspaces/demo/agents', AGENT);
    t.equal(created.status, 201, created.text);
  }
  await requireSoundChains(t, database);
  for (const { running } of both) running.child.kill('SIGTERM');
  for (const { running } of both) t.same(await running.exited, { code: 0, signal: null }, running.stderr());
});
