import { randomUUID } from 'node:crypto';
import t from 'tap';

import { type Answer, type TestService, testService } from '../support/service.ts';
import { reload } from '../system/support/policies.ts';
import { DAY, openWorld, SPEC } from '../system/support/world.ts';
import { holdCommits } from './support.ts';

const AGENTS = '/v1/workspaces/demo/agents';

const one = await openWorld(t);
const two = await testService(t, { replicaOf: one, clock: one.now });

interface From {
  readonly who?: string;
  readonly at?: TestService;
}

/** One POST under a key. */
function post(path: string, body: unknown, key: string, { who = 'operator', at = one }: From = {}): Promise<Answer> {
  return at.call(who, 'POST', path, body, { 'idempotency-key': key });
}

async function count(from: string, params: unknown[] = []): Promise<number> {
  const { rows } = await one.database.query(`SELECT count(*)::int AS n FROM ${from}`, params);
  return rows[0].n;
}

const kept = () => count('idempotency_keys');
const replayed = (answer: Answer) => answer.headers['idempotent-replayed'] === 'true';

t.test('without a key nothing is kept', async (t) => {
  await one.sandboxAgent('demo');
  t.equal(await kept(), 0);
});

t.test('a key is 1 to 255 printable ASCII characters', async (t) => {
  for (const key of ['', '   ', 'k'.repeat(256), 'schlüssel', 'tab\tinside']) {
    const answer = await post(AGENTS, { spec: SPEC }, key);
    t.match(answer, { status: 400, body: { errors: [{ pointer: '/headers/idempotency-key' }] } }, JSON.stringify(key));
  }
  for (const key of ['x', '~'.repeat(255), 'two words "and" more']) {
    t.equal((await post(AGENTS, { spec: SPEC }, key)).status, 201, key);
    t.ok(replayed(await post(AGENTS, { spec: SPEC }, key)), key);
  }
});

t.test('the order of members and the spelling of the path make no other request', async (t) => {
  const key = randomUUID();
  const first = await post(AGENTS, { spec: SPEC, ttlSeconds: 60 }, key);
  const again = await post('/v1/workspaces/%64emo/agents', { ttlSeconds: 60, spec: SPEC }, key, { at: two });
  t.ok(replayed(again));
  t.equal(again.text, first.text);
});

t.test('the same key of somebody else, or for another workspace, is another key', async (t) => {
  const key = randomUUID();
  const first = await post(AGENTS, { spec: SPEC }, key);
  const others = [
    await post(AGENTS, { spec: SPEC }, key, { who: 'orchestrator' }),
    await post(AGENTS, { spec: { name: 'else' } }, key, { who: 'kernel-admin' }),
    await post('/v1/workspaces/other/agents', { spec: SPEC }, key, { who: 'kernel-admin' }),
    await post('/v1/workspaces/other/agents', { spec: SPEC }, key, { who: 'outsider' }),
  ];
  for (const other of others) {
    t.equal(other.status, 201, other.text);
    t.notOk(replayed(other));
  }
  t.equal(new Set([first, ...others].map(({ body }) => body.id)).size, 5);
});

t.test('identity and permission come first', async (t) => {
  const key = randomUUID();
  await post(AGENTS, { spec: SPEC }, key);
  t.match(await post(AGENTS, { spec: SPEC }, key, { who: 'auditor' }), {
    status: 403,
    body: { code: 'PERMISSION_DENIED' },
  });
  t.equal((await post(AGENTS, { spec: SPEC }, key, { who: 'outsider' })).status, 404);
});

t.test('a question is asked again, whatever its key', async (t) => {
  const before = await kept();
  const key = randomUUID();
  const ask = () => post('/v1/workspaces/demo/proofs/verify', { proof: {} }, key, { who: 'auditor' });
  t.equal((await ask()).status, 200);
  t.notOk(replayed(await ask()));
  t.equal(await kept(), before);
});

t.test('while the first is under way a second is turned away', async (t) => {
  const key = randomUUID();
  const held = holdCommits(one);
  const first = post(AGENTS, { spec: SPEC }, key);
  await held.reached;
  const second = await post(AGENTS, { spec: SPEC }, key);
  t.match(second, { status: 409, body: { code: 'IDEMPOTENCY_IN_FLIGHT' } });
  t.match(second.headers['retry-after'], /^[123]$/);
  t.match(await post(AGENTS, { spec: { name: 'x' } }, key), { status: 422, body: { code: 'IDEMPOTENCY_KEY_REUSED' } });
  held.release();
  const { status, text } = await first;
  t.equal(status, 201);
  t.equal((await post(AGENTS, { spec: SPEC }, key)).text, text);
});

t.test('over two replicas the first to commit has done it, and both say so', async (t) => {
  const key = randomUUID();
  const held = [holdCommits(one), holdCommits(two)];
  const both = [one, two].map((at) => post(AGENTS, { spec: { name: key } }, key, { at }));
  await Promise.all(held.map(({ reached }) => reached));
  for (const { release } of held) release();
  const answers = await Promise.all(both);
  t.same(
    answers.map(({ status }) => status),
    [201, 201],
  );
  t.equal(answers[0]?.text, answers[1]?.text);
  t.same(answers.map(replayed).sort(), [false, true]);
  t.equal(await count('agents WHERE name = $1', [key]), 1);
});

t.test('two names for a new workspace under one key: one of them is created', async (t) => {
  const key = randomUUID();
  const held = [holdCommits(one), holdCommits(two)];
  const both = [one, two].map((at, index) =>
    post('/v1/workspaces', { workspaceId: `${key}-${index}` }, key, { who: 'kernel-admin', at }),
  );
  await Promise.all(held.map(({ reached }) => reached));
  for (const { release } of held) release();
  const answers = await Promise.all(both);
  t.same(answers.map(({ status }) => status).sort(), [201, 422]);
  t.equal(await count('workspaces WHERE id LIKE $1', [`${key}%`]), 1);
  const { rows } = await one.database.query('SELECT workspace_id FROM idempotency_keys WHERE body LIKE $1', [
    `%${key}%`,
  ]);
  t.same(rows, [{ workspace_id: '_system' }]);
});

t.test('a batch on two replicas at once does everything once', async (t) => {
  const agentIds = await Promise.all(Array.from({ length: 40 }, () => one.sandboxAgent('demo')));
  for (const agentId of agentIds) await one.expect(200, 'operator', 'POST', `${AGENTS}/${agentId}/start`);
  const key = randomUUID();
  const body = { action: 'stop', agentIds };
  const held = [holdCommits(one), holdCommits(two)];
  const { events } = await one.eventsOf(async () => {
    const both = [one, two].map((at) => post(`${AGENTS}:batch`, body, key, { at }));
    await Promise.all(held.map(({ reached }) => reached));
    for (const { release } of held) release();
    const answers = await Promise.all(both);
    for (const { status, text } of answers) t.ok(status === 200 || status === 409, text);
    // Whoever was turned away asks again.
    const again = await post(`${AGENTS}:batch`, body, key);
    t.equal(again.status, 200, again.text);
    t.ok(again.body.results.every((one: { success: boolean }) => one.success));
    t.ok(
      again.body.results.every((one: { auditEvent: unknown }) => one.auditEvent !== null),
      'with the receipts of the stops',
    );
  });
  t.equal(events.length, 40);
});

t.test('the answer that was sent is the one that is kept, also when the final one could not be', async (t) => {
  const workspaceId = await one.workspace();
  await one.governedAgent(workspaceId);
  await one.sql(`CREATE FUNCTION no_refining() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'by the test'; END $$;
    CREATE TRIGGER no_refining BEFORE UPDATE ON idempotency_keys FOR EACH ROW EXECUTE FUNCTION no_refining()`);
  t.teardown(() => one.sql('DROP TRIGGER IF EXISTS no_refining ON idempotency_keys'));
  const path = `/v1/workspaces/${workspaceId}/policy/hotreload`;
  const key = randomUUID();
  const first = await post(path, reload(), key, { who: 'kernel-admin' });
  t.match(first, { status: 200, body: { revalidated: 0, revalidation: { state: 'running', total: 1, done: 0 } } });
  t.equal((await post(path, reload(), key, { who: 'kernel-admin' })).text, first.text);

  await one.sql('DROP TRIGGER no_refining ON idempotency_keys');
  const next = randomUUID();
  const refined = await post(path, reload({ monthlyUsd: 6000 }), next, { who: 'kernel-admin' });
  t.match(refined, { status: 200, body: { revalidated: 1, revalidation: { state: 'done', total: 1, done: 1 } } });
  t.equal((await post(path, reload({ monthlyUsd: 6000 }), next, { who: 'kernel-admin' })).text, refined.text);
});

t.test('a replay is no new decision', async (t) => {
  const agentId = await one.sandboxAgent('demo');
  const key = randomUUID();
  const decide = () => post(`${AGENTS}/${agentId}/promote`, undefined, key, { who: 'kernel-admin' });
  await decide();
  const counted = () => one.metric('castellan_promotion_attempts_total');
  const before = await counted();
  t.ok(replayed(await decide()));
  t.equal(await counted(), before);
  t.equal(await count('decisions WHERE agent_id = $1', [agentId]), 1);
});

t.test('neither the key nor the request is stored', async (t) => {
  const key = `key-${randomUUID()}`;
  const agentId = await one.sandboxAgent('demo');
  const reason = `reason-${randomUUID()}`;
  await post(`${AGENTS}/${agentId}/stop`, { reason }, key);
  t.equal(await count('idempotency_keys k WHERE k::text LIKE $1 OR k::text LIKE $2', [`%${key}%`, `%${reason}%`]), 0);
});

t.test('a key is over after 24 hours, and forgotten', async (t) => {
  const key = randomUUID();
  const first = await post(AGENTS, { spec: SPEC }, key);
  one.pass(DAY - 60_000);
  t.equal((await post(AGENTS, { spec: SPEC }, key)).body.id, first.body.id);
  one.pass(120_000);
  // Another body, and the row still there: a key that is over stands for nothing.
  const later = await post(AGENTS, { spec: { name: 'later' } }, key);
  t.equal(later.status, 201, later.text);
  t.not(later.body.id, first.body.id);
  t.ok(replayed(await post(AGENTS, { spec: { name: 'later' } }, key)));
});
