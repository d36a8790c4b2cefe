import t from 'tap';

import { testService } from '../support/service.ts';

const SPEC = {
  name: 'reader',
  model: { provider: 'acme', name: 'm-1', temperature: 0.2 },
  instructions: 'Read what you are given.',
  capabilities: ['search'],
  budget: { monthlyUsd: 10 },
};

t.test('the whole way under the shipped policy: created, promoted, started, its signer revoked', async (t) => {
  const { call, database } = await testService(t);
  const create = async (spec: object) =>
    String((await call('operator', 'POST', '/v1/workspaces/demo/agents', { spec })).body.id);
  const agent = `/v1/workspaces/demo/agents/${await create(SPEC)}`;

  const asOperator = await call('operator', 'POST', `${agent}/promote`);
  t.equal(asOperator.status, 200, asOperator.text);
  t.match(asOperator.body, { success: false, denies: [{ code: 'PERMISSION_DENIED', check: 'castellan.promotion' }] });

  const greedy = { ...SPEC, instructions: ' ', capabilities: ['fly'], budget: { monthlyUsd: 5000 } };
  const hot = await create({ ...greedy, model: { ...SPEC.model, temperature: 2 } });
  const refused = await call('kernel-admin', 'POST', `/v1/workspaces/demo/agents/${hot}/promote`);
  t.same(refused.body.denies.map((deny: { code: string }) => deny.code).toSorted(), [
    'ANATOMY_INCOMPLETE',
    'BUDGET_EXCEEDED',
    'INVALID_CAPABILITIES',
    'TEMPERATURE_VIOLATION',
  ]);

  const promoted = await call('kernel-admin', 'POST', `${agent}/promote`, { justification: 'ready' });
  t.match(promoted.body, { success: true, governedAgent: { mode: 'governed' } }, promoted.text);
  const verified = await call('auditor', 'POST', '/v1/workspaces/demo/proofs/verify', { proof: promoted.body.proof });
  t.same(verified.body, { valid: true });

  const started = await call('operator', 'POST', `${agent}/start`, {});
  t.equal(started.status, 200, started.text);
  t.equal(started.body.admission.checks.length, 7);
  await call('operator', 'POST', `${agent}/stop`, {});

  await t.test('a spec edited in the database', async (t) => {
    const text = `UPDATE agent_specs SET spec = jsonb_set(spec, '{name}', '"x"') WHERE agent_id = $1`;
    const id = agent.split('/').at(-1);
    await database.query(text, [id]);
    const denied = await call('operator', 'POST', `${agent}/start`, {});
    t.equal(denied.status, 403);
    t.match(denied.body, {
      code: 'ADMISSION_DENIED',
      decisionId: String,
      denies: [{ code: 'SPEC_HASH_MISMATCH', severity: 'DENY', check: 'specHash' }],
    });
    await database.query(text.replace('"x"', '"reader"'), [id]);
    t.equal((await call('operator', 'POST', `${agent}/start`, {})).status, 200, 'until its cause is mended');
    await call('operator', 'POST', `${agent}/stop`, {});
  });

  const signers = await call('auditor', 'GET', '/v1/signers');
  const { signerId } = signers.body.signers.find((one: { purpose: string }) => one.purpose === 'proof');
  const revoked = await call('kernel-admin', 'POST', `/v1/signers/${signerId}/revoke`, { reason: 'lost' });
  t.equal(revoked.status, 200, revoked.text);
  const denied = await call('operator', 'POST', `${agent}/start`, {});
  t.match(denied.body.denies, [{ code: 'SIGNER_REVOKED', check: 'signerRevocation' }]);
  const snapshot = await call('operator', 'GET', '/v1/workspaces/demo/policy/snapshot');
  t.same(snapshot.body.revokedSigners, [signerId]);
});
