import { randomUUID } from 'node:crypto';
import t from 'tap';
import { type Answer, type TestService, testService } from '../support/service.ts';
import { SPEC } from '../system/support/world.ts';

const AGENTS = '/v1/workspaces/demo/agents';

const one = await testService(t);
const two = await testService(t, { replicaOf: one });

/** One POST under a key. */
function post(path: string, body: unknown, key: string, who = 'operator', at: TestService = one): Promise<Answer> {
  return at.call(who, 'POST', path, body, { 'idempotency-key': key });
}

async function count(sql: string): Promise<number> {
  const { rows } = await one.database.query(`SELECT count(*)::int AS n FROM ${sql}`);
  return rows[0].n;
}

const kept = () => count('idempotency_keys');
const events = (type: string) => count(`audit_events WHERE event_type = '${type}'`);

async function newAgent(spec: object = SPEC): Promise<string> {
  const { status, body, text } = await one.call('operator', 'POST', AGENTS, { spec });
  if (status !== 201) throw new Error(text);
  return `${AGENTS}/${body.id}`;
}

t.test('without a key nothing is kept', async (t) => {
  await newAgent();
  t.equal(await kept(), 0);
});

t.test('the same request again has the first answer, and one effect', async (t) => {
  const before = await events('agent.created');
  const key = randomUUID();
  const first = await post(AGENTS, { spec: SPEC, ttlSeconds: 60 }, key);
  t.equal(first.status, 201, first.text);
  t.equal(first.headers['idempotent-replayed'], undefined);
  // Other members' order, other replica: the same request.
  const second = await post(AGENTS, { ttlSeconds: 60, spec: SPEC }, key, 'operator', two);
  t.equal(second.status, 201);
  t.equal(second.text, first.text, 'byte for byte');
  t.equal(second.headers['idempotent-replayed'], 'true');
  for (const name of ['etag', 'location', 'content-type']) t.equal(second.headers[name], first.headers[name], name);
  t.equal((await events('agent.created')) - before, 1);
  t.equal(await kept(), 1);
});

t.test('another body under the same key is refused', async (t) => {
  const key = randomUUID();
  t.equal((await post(AGENTS, { spec: SPEC }, key)).status, 201);
  const other = await post(AGENTS, { spec: { ...SPEC, name: 'other' } }, key);
  t.match(other, { status: 422, body: { code: 'IDEMPOTENCY_KEY_REUSED' } });
});
