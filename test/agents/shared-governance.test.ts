import t from 'tap';

import { SAMPLE_AGENT_ID } from '../../src/certs/clients.ts';
import { reload } from '../system/support/policies.ts';
import { openWorld, type World } from '../system/support/world.ts';

const BASE = '/v1/workspaces/demo';

/** A governed agent with the id that the development certificate names. */
async function sampleAgent(world: World): Promise<void> {
  const agentId = await world.sandboxAgent('demo');
  await world.sql('SET session_replication_role = replica');
  for (const [table, column] of [
    ['agents', 'id'],
    ['agent_specs', 'agent_id'],
  ]) {
    await world.sql(`UPDATE ${table} SET ${column} = $2 WHERE ${column} = $1`, [agentId, SAMPLE_AGENT_ID]);
  }
  await world.sql('SET session_replication_role = origin');
  await world.expect(200, 'kernel-admin', 'POST', `${BASE}/agents/${SAMPLE_AGENT_ID}/promote`);
}

t.test('an agent that asks about itself sees nothing of those that share its statement', async (t) => {
  const world = await openWorld(t);
  await sampleAgent(world);
  const other = await world.governedAgent('demo');
  const governance = async (who: string) =>
    (await world.expect(200, who, 'GET', `${BASE}/agents/${SAMPLE_AGENT_ID}/governance`)).body.governance;
  const alone = await governance('agent');
  t.same(alone, await governance('operator'), 'a proof of its own is shown whole');
  t.ok(alone.proof.payload);

  await world.expect(200, 'kernel-admin', 'POST', `${BASE}/policy/hotreload`, reload());
  const shown = await governance('agent');
  const { proof } = await governance('operator');
  const payload = Buffer.from(proof.payload, 'base64').toString();
  t.match(payload, other, 'who may see the workspace sees the envelope');
  t.strictSame(Object.keys(shown.proof), ['statement']);
  t.match(shown, { status: 'GOVERNED_VALID', proof: { statement: /^sha256:[0-9a-f]{64}$/ } });
  const everything = await Promise.all(
    ['', '/status', '/governance', '/versions'].map((path) =>
      world.expect(200, 'agent', 'GET', `${BASE}/agents/${SAMPLE_AGENT_ID}${path}`),
    ),
  );
  for (const { text } of everything) t.notMatch(text, other);
});
