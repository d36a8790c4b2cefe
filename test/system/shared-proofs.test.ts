import t from 'tap';

import { testService } from '../support/service.ts';
import { reload } from './support/policies.ts';
import { openWorld, SPEC } from './support/world.ts';

const world = await openWorld(t);

/** Two governed agents whose proofs a reload renewed by one statement, in a workspace of their own. */
async function sharing() {
  const workspaceId = await world.workspace();
  const base = `/v1/workspaces/${workspaceId}`;
  const agentIds = [await world.governedAgent(workspaceId), await world.governedAgent(workspaceId)];
  const { events } = await world.eventsOf(() =>
    world.expect(200, 'kernel-admin', 'POST', `${base}/policy/hotreload`, reload()),
  );
  const mass = events.find(({ type }) => type === 'proof.mass.renewed');
  return { workspaceId, base, agentId: agentIds[0] ?? '', agentIds, mass };
}

t.test('agents of a mass renewal show their proof, start with it, and it can be verified', async (t) => {
  const { base, agentIds, mass } = await sharing();
  const renewed = mass?.payload['agents'];
  t.same(Array.isArray(renewed) && renewed.map((one) => one.agentId).sort(), [...agentIds].sort());
  for (const agentId of agentIds) {
    const agent = `${base}/agents/${agentId}`;
    const { governance } = (await world.expect(200, 'auditor', 'GET', `${agent}/governance`)).body;
    t.equal(governance.status, 'GOVERNED_VALID');
    const { proof } = governance;
    const { subject } = JSON.parse(Buffer.from(proof.payload, 'base64').toString());
    t.equal(subject.length, 2, 'the whole envelope');
    const verify = async (question: object) =>
      (await world.expect(200, 'kernel-admin', 'POST', `${base}/proofs/verify`, { proof, ...question })).body;
    t.same(await verify({ agentId }), { valid: true });
    t.same(await verify({ agentId, spec: SPEC }), { valid: true });
    t.same(await verify({}), { valid: false, reason: 'MALFORMED' });
    await world.expect(200, 'kernel-admin', 'POST', `${agent}/start`);
  }
  const { body } = await world.expect(200, 'kernel-admin', 'POST', `${base}/audit/verify`);
  t.match(body, { ok: true });
});

const EDITS: Readonly<Record<string, string>> = {
  'the statement is gone': 'DELETE FROM proof_statements WHERE workspace_id = $1',
  'the statement is null': `UPDATE proof_statements SET envelope = 'null' WHERE workspace_id = $1`,
  'the payload is no base64': `UPDATE proof_statements SET envelope = jsonb_set(envelope, '{payload}', '"%%"') WHERE workspace_id = $1`,
  'the signature is another': `UPDATE proof_statements SET envelope = jsonb_set(envelope, '{signatures,0,sig}',
    to_jsonb(repeat('A', 86) || '==')) WHERE workspace_id = $1`,
  'the digest is another': `UPDATE proof_statements SET digest = 'sha256:' || repeat('0', 64) WHERE workspace_id = $1`,
  'the references name nothing': `UPDATE agent_proofs SET envelope = '{"statement":"x"}'
    WHERE workspace_id = $1 AND envelope ? 'statement'`,
};

t.test('an agent whose statement was edited does not start, and every question about it has an answer', async (t) => {
  const { workspaceId, base, agentId } = await sharing();
  const agent = `${base}/agents/${agentId}`;
  const putBack = await kept(workspaceId);
  for (const [why, sql] of Object.entries(EDITS)) {
    await t.test(why, async (t) => {
      await world.sql(sql, [workspaceId]);
      const { events, result } = await world.eventsOf(() => world.call('kernel-admin', 'POST', `${agent}/start`));
      t.match(result.body, { code: 'ADMISSION_DENIED' }, result.text);
      const codes = result.body.denies.map(({ code }: { code: string }) => code);
      t.ok(codes.includes('SIGNATURE_INVALID'), `${codes}`);
      t.same(
        events.map(({ type }) => type),
        ['agent.start.denied'],
      );
      for (const path of [agent, `${agent}/governance`, `${base}/agents`, `${base}/policy/snapshot`]) {
        t.equal((await world.call('auditor', 'GET', path)).status, 200, path);
      }
      await putBack();
    });
  }
  await world.expect(200, 'kernel-admin', 'POST', `${agent}/start`);
  await world.sql('DELETE FROM proof_statements WHERE workspace_id = $1', [workspaceId]);
  const replica = await testService(t, { replicaOf: world });
  const { body } = await replica.call('kernel-admin', 'POST', `${base}/policy/revalidate`);
  t.match(body, { results: Array(2).fill({ status: 'GOVERNED_INVALIDATED' }), revalidation: { state: 'done' } });
});

/** The statements and references of the workspace as they are now, and a way to have them so again. */
async function kept(workspaceId: string): Promise<() => Promise<void>> {
  const { database } = world;
  const { rows: statements } = await database.query('SELECT * FROM proof_statements WHERE workspace_id = $1', [
    workspaceId,
  ]);
  const { rows: proofs } = await database.query('SELECT id, envelope FROM agent_proofs WHERE workspace_id = $1', [
    workspaceId,
  ]);
  return async () => {
    await database.query('DELETE FROM proof_statements WHERE workspace_id = $1', [workspaceId]);
    await database.query(
      'INSERT INTO proof_statements SELECT * FROM jsonb_populate_recordset(NULL::proof_statements, $1)',
      [JSON.stringify(statements)],
    );
    await database.query(
      `UPDATE agent_proofs p SET envelope = r.envelope FROM jsonb_to_recordset($1) AS r(id uuid, envelope jsonb)
       WHERE p.id = r.id`,
      [JSON.stringify(proofs)],
    );
  };
}
