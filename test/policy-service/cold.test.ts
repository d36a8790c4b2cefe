import t, { type Test } from 'tap';

import { CHAIN_TIMEOUT_MS } from '../../src/admission/chain.ts';
import { withClient } from '../support/postgres.ts';
import { until } from '../support/process.ts';
import { type Answer, testService } from '../support/service.ts';

/** More workspaces than the loader compares at a time, so that some wait their turn. */
const WORKSPACES = Array.from({ length: 12 }, (_, n) => `cold-${n}`);

const warm = await testService(t);
const agents: string[] = [];
for (const workspaceId of WORKSPACES) {
  await warm.call('kernel-admin', 'POST', '/v1/workspaces', { workspaceId });
  const base = `/v1/workspaces/${workspaceId}/agents`;
  const { body } = await warm.call('kernel-admin', 'POST', base, { spec: { name: 'reader' } });
  agents.push(`${base}/${body.id}`);
}

/** Starts all agents at once on a service that has just started and cannot look at the stored policies until `freed`. */
async function startCold(t: Test, freed: (starts: Promise<unknown>) => Promise<unknown>): Promise<Answer[]> {
  const cold = await testService(t, { replicaOf: warm });
  return withClient(warm.database.superuserUrl, async (client) => {
    await client.query('BEGIN; LOCK TABLE policy_versions IN ACCESS EXCLUSIVE MODE');
    const starts = Promise.all(agents.map((agent) => cold.call('kernel-admin', 'POST', `${agent}/start`)));
    await until('it looks at the policies', isHeldUp);
    await freed(starts);
    await client.query('COMMIT');
    return starts;
  });
}

async function isHeldUp(): Promise<boolean> {
  const { rows } = await warm.database.query(
    `SELECT FROM pg_locks WHERE relation = 'policy_versions'::regclass AND NOT granted`,
  );
  return rows.length > 0;
}

async function recorded(): Promise<unknown> {
  const { rows } = await warm.database.query(
    `SELECT (SELECT count(*) FROM decisions) AS decisions, (SELECT count(*) FROM audit_events) AS events`,
  );
  return rows[0];
}

t.test('policies that cannot be looked at are a 503, and nothing is decided', async (t) => {
  const before = await recorded();
  for (const answer of await startCold(t, (starts) => starts)) {
    t.equal(answer.status, 503, answer.text);
    t.match(answer.body.code, /^(POLICY|DATABASE)_UNAVAILABLE$/);
    t.ok(answer.headers['retry-after']);
  }
  t.same(await recorded(), before);
});

t.test('policies that are looked at late deny nobody', async (t) => {
  const answers = await startCold(t, () => {
    const longer = Date.now() + 1.3 * CHAIN_TIMEOUT_MS;
    return until('the checks would have had no time left', () => Date.now() > longer);
  });
  for (const answer of answers) t.equal(answer.status, 200, answer.text);
});
