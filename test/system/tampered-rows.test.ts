import t from 'tap';

import { openWorld, type World } from './support/world.ts';

interface Edit {
  readonly why: string;
  /** `$1` is the agent. */
  readonly sql: string;
  /** Most of all of governed agents; some of what a sandbox agent has. */
  readonly mode?: 'sandbox';
}

const EDITS: readonly Edit[] = [
  ...['null', '{}', '[]', '"x"', '1'].map((value) => ({
    why: `the proof is ${value}`,
    sql: `UPDATE agent_proofs SET envelope = '${value}' WHERE agent_id = $1`,
  })),
  {
    why: 'the payload of the proof is no base64',
    sql: `UPDATE agent_proofs SET envelope = jsonb_set(envelope, '{payload}', '"%%"') WHERE agent_id = $1`,
  },
  {
    why: 'the proof has no signature',
    sql: `UPDATE agent_proofs SET envelope = jsonb_set(envelope, '{signatures}', '[]') WHERE agent_id = $1`,
  },
  {
    why: 'the proof has its signature twice',
    sql: `UPDATE agent_proofs SET envelope = jsonb_set(envelope, '{signatures}',
      (envelope->'signatures') || (envelope->'signatures')) WHERE agent_id = $1`,
  },
  {
    why: 'the proof names a signer of the audit',
    sql: `UPDATE agent_proofs SET signer_id = 'audit-1',
      envelope = jsonb_set(envelope, '{signatures,0,keyid}', '"audit-1"') WHERE agent_id = $1`,
  },
  {
    why: 'the proof names a signer that is not there',
    sql: `UPDATE agent_proofs SET signer_id = 'nobody',
      envelope = jsonb_set(envelope, '{signatures,0,keyid}', '"nobody"') WHERE agent_id = $1`,
  },
  { why: 'the proof is gone', sql: 'DELETE FROM agent_proofs WHERE agent_id = $1' },
  { why: 'the spec is gone', sql: 'DELETE FROM agent_specs WHERE agent_id = $1' },
  ...['null', '[]', '"x"', '{}'].map((value) => ({
    why: `the JSON column is ${value}`,
    sql: `UPDATE agent_specs SET spec = '${value}' WHERE agent_id = $1`,
  })),
  { why: 'the bytes are no JSON', sql: `UPDATE agent_specs SET spec_bytes = '\\xff00' WHERE agent_id = $1` },
  { why: 'the bytes are empty', sql: `UPDATE agent_specs SET spec_bytes = '' WHERE agent_id = $1` },
  {
    why: 'bytes, hash and JSON column are all those of another spec',
    sql: `UPDATE agent_specs SET spec = '{"name":"x"}', spec_bytes = '{"name":"x"}',
      spec_hash = 'sha256:' || encode(sha256('{"name":"x"}'), 'hex') WHERE agent_id = $1`,
  },
  { why: "the row's hash", sql: `UPDATE agents SET spec_hash = 'sha256:00' WHERE id = $1` },
  { why: "the row's version", sql: 'UPDATE agents SET spec_version = 7 WHERE id = $1' },
  { why: 'the row names no proof', sql: 'UPDATE agents SET proof_id = NULL WHERE id = $1' },
  { why: 'the row is put back to the sandbox', sql: `UPDATE agents SET mode = 'sandbox' WHERE id = $1` },
  ...['{}', '[]', '"x"', '{"denies": 1}', '{"denies": [1, {}]}'].flatMap((value) => [
    { why: `the quarantine is ${value}`, sql: `UPDATE agents SET quarantine = '${value}' WHERE id = $1` },
    { why: `the invalidation is ${value}`, sql: `UPDATE agents SET invalidation = '${value}' WHERE id = $1` },
  ]),
  { why: 'only the status says quarantined', sql: `UPDATE agents SET status = 'quarantined' WHERE id = $1` },
  {
    why: 'made governed by hand',
    mode: 'sandbox',
    sql: `UPDATE agents SET mode = 'governed', expires_at = NULL WHERE id = $1`,
  },
  { why: 'its time has no end', mode: 'sandbox', sql: `UPDATE agents SET expires_at = 'infinity' WHERE id = $1` },
  {
    why: 'its time had no beginning',
    mode: 'sandbox',
    sql: `UPDATE agents SET expires_at = '-infinity' WHERE id = $1`,
  },
  {
    why: 'its time is before our era',
    mode: 'sandbox',
    sql: `UPDATE agents SET expires_at = '4000-01-01 BC' WHERE id = $1`,
  },
];

t.test('an agent whose rows were edited does not start, and every question about it has an answer', async (t) => {
  const world = await openWorld(t);
  for (const { why, sql, mode } of EDITS) {
    await t.test(why, async (t) => {
      const workspaceId = await world.workspace();
      const base = `/v1/workspaces/${workspaceId}`;
      const agentId = await (mode === 'sandbox' ? world.sandboxAgent(workspaceId) : world.governedAgent(workspaceId));
      await world.sql(sql, [agentId]);
      const agent = `${base}/agents/${agentId}`;

      const { events, result } = await world.eventsOf(() =>
        world.changesOf(() => world.call('kernel-admin', 'POST', `${agent}/start`)),
      );
      t.equal(result.result.status, 403, result.result.text);
      t.not(result.result.body.denies?.length ?? 0, 0, result.result.text);
      t.same(
        events.map(({ type }) => type),
        ['agent.start.denied'],
      );
      t.same(result.changed, ['decisions']);
      for (const path of questions(base, agent)) await answered(t, world, path);
    });
  }
});

t.test('a running agent whose time was edited to have no beginning is stopped like any other', async (t) => {
  const world = await openWorld(t);
  const agentId = await world.sandboxAgent('demo');
  await world.expect(200, 'operator', 'POST', `/v1/workspaces/demo/agents/${agentId}/start`);
  await world.sql(`UPDATE agents SET expires_at = '-infinity' WHERE id = $1`, [agentId]);
  const { events } = await world.eventsOf(() => world.service.app.agents.expireDue(AbortSignal.timeout(5000)));
  const { body } = await world.expect(200, 'operator', 'GET', `/v1/workspaces/demo/agents/${agentId}/status`);
  t.equal(body.status, 'stopped');
  t.ok(events.length <= 1, 'once, be it by this round or by the service itself');
});

function questions(base: string, agent: string): string[] {
  return [
    agent,
    `${agent}/status`,
    `${agent}/governance`,
    `${agent}/versions`,
    `${base}/agents`,
    `${base}/agents/statuses`,
    `${base}/decisions`,
    `${base}/policy/snapshot`,
    `${base}/promotions`,
  ];
}

async function answered(t: { ok(value: boolean, why: string): unknown }, world: World, path: string): Promise<void> {
  const { status, text } = await world.call('auditor', 'GET', path);
  t.ok(status === 200 || status === 404 || status === 422, `${path}: ${status} ${text.slice(0, 200)}`);
}
