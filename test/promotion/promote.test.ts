import t from 'tap';

import { newId } from '../../src/ids.ts';
import { PolicyEvaluationError } from '../../src/policy/errors.ts';
import { createBatchPromotion } from '../../src/promotion/batch-action.ts';
import {
  ADMIN,
  DAY,
  denial,
  type Governance,
  governance,
  governedAgent,
  OPERATOR,
  POLICIES,
  SPEC,
  tamper,
  WORKSPACE,
} from '../admission/fixture.ts';
import { COMMITMENT } from '../support/personal.ts';

const EVENTS = ['promotion.approved', 'promotion.denied', 'proof.issued', 'agent.stopped'];

/** Everything a promotion may change, to see that nothing did. */
async function state({ database }: Governance, agentId: string) {
  const { rows } = await database.query(
    `SELECT a.*, (SELECT count(*) FROM agent_proofs) AS proofs, (SELECT count(*) FROM promotions) AS promotions,
       (SELECT count(*) FROM decisions) AS decisions,
       (SELECT count(*) FROM audit_events WHERE chain = 'demo') AS events
     FROM agents a WHERE id = $1`,
    [agentId],
  );
  return rows[0];
}

t.test('what the policy lets pass becomes governed, in one transaction', async (t) => {
  const world = await governance(t);
  const agentId = await world.sandboxAgent();
  const result = await world.promote(WORKSPACE, agentId, { justification: 'it is ready' }, ADMIN);
  if (!('proof' in result)) throw new Error('denied');
  const { promotionId, decisionId, governedAgent: agent, proof } = result;
  t.match(agent, { id: agentId, mode: 'governed', status: 'stopped', expiresAt: null, spec: SPEC });
  t.match(world.policy.asked, [
    {
      hash: POLICIES.first,
      policyPackage: 'castellan.promotion',
      input: {
        actor: { id: 'ada', kind: 'human', roles: ['kernel-admin'] },
        workspace: WORKSPACE,
        agent: { id: agentId, mode: 'sandbox', spec: SPEC, specHash: agent.specHash },
        mode: 'promote',
      },
    },
  ]);
  const statement = JSON.parse(Buffer.from(proof.payload, 'base64').toString('utf8'));
  t.match(statement, {
    subject: [{ name: agentId, digest: { sha256: agent.specHash.slice('sha256:'.length) } }],
    predicate: {
      workspaceId: WORKSPACE,
      agentId,
      specVersion: 1,
      policySet: 'default',
      policyVersion: 1,
      policyHash: POLICIES.first,
      promotionId,
      promoter: { id: 'ada', roles: ['kernel-admin'] },
      approvals: [],
    },
  });
  t.equal(Date.parse(statement.predicate.expiresAt) - Date.parse(statement.predicate.issuedAt), 90 * DAY);
  t.match(await world.events(EVENTS), [
    { event_type: 'promotion.approved', payload: { agentId, promotionId, decisionId, policyHash: POLICIES.first } },
    { event_type: 'proof.issued', payload: { agentId, promotionId, signerId: 'proof-1' } },
  ]);
  t.match(await world.row('SELECT * FROM promotions WHERE id = $1', [promotionId]), {
    state: 'approved',
    requested_by: { id: 'ada', kind: 'human', roles: ['kernel-admin'] },
    justification: 'it is ready',
    decision_id: decisionId,
    denies: [],
  });
  t.match(await world.row('SELECT * FROM decisions WHERE id = $1', [decisionId]), {
    kind: 'promotion',
    effect: 'ALLOW',
    tier: 1,
    codes: [],
  });
  t.match(await world.start(WORKSPACE, agentId, {}, OPERATOR), { success: true }, 'and it may start');
  await t.rejects(world.promote(WORKSPACE, agentId, {}, ADMIN), { code: 'ALREADY_GOVERNED' });
});

t.test('a denial of the policy is an answer, and is on record', async (t) => {
  const world = await governance(t);
  const agentId = await world.sandboxAgent();
  world.policy.answers.set('*', denial('ANATOMY_INCOMPLETE', 'BUDGET_EXCEEDED'));
  const result = await world.promote(WORKSPACE, agentId, {}, OPERATOR);
  if (!('denies' in result)) throw new Error('approved');
  t.match(result.denies, [
    { code: 'ANATOMY_INCOMPLETE', severity: 'DENY', check: 'castellan.promotion' },
    { code: 'BUDGET_EXCEEDED' },
  ]);
  t.match(await world.events(EVENTS), [
    {
      event_type: 'promotion.denied',
      payload: { agentId, promotionId: result.promotionId, denies: [{ code: 'ANATOMY_INCOMPLETE' }, {}] },
    },
  ]);
  t.match(await world.row('SELECT * FROM promotions'), { state: 'denied', proof_id: null });
  t.match(await world.row('SELECT * FROM decisions WHERE id = $1', [result.decisionId]), {
    effect: 'DENY',
    tier: 3,
    codes: ['ANATOMY_INCOMPLETE', 'BUDGET_EXCEEDED'],
  });
  t.match(await state(world, agentId), { mode: 'sandbox', proof_id: null, proofs: 0 });
  t.same(world.metrics, ['attempted', 'ANATOMY_INCOMPLETE']);
});

t.test('a policy that fails denies; one that is away refuses, and nothing is decided', async (t) => {
  const world = await governance(t);
  const agentId = await world.sandboxAgent();
  world.policy.answers.set('*', () => Promise.reject(new PolicyEvaluationError('POLICY_EVALUATION_FAILED', 'no')));
  t.match(await world.promote(WORKSPACE, agentId, {}, ADMIN), {
    success: false,
    denies: [{ code: 'INTERCEPTOR_ERROR', check: 'castellan.promotion' }],
  });
  world.policy.answers.set('*', () => undefined);
  t.match(
    await world.promote(WORKSPACE, agentId, {}, ADMIN),
    { success: false, denies: [{ code: 'INTERCEPTOR_ERROR' }] },
    'a policy set without the package that decides denies',
  );
  const before = await state(world, agentId);
  world.policy.answers.set('*', () => Promise.reject(new PolicyEvaluationError('POLICY_UNAVAILABLE', 'no')));
  await t.rejects(world.promote(WORKSPACE, agentId, {}, ADMIN), { code: 'POLICY_UNAVAILABLE' });
  t.same(await state(world, agentId), before);
});

const obstacles: { why: string; sql: string; code: string; denies: string[] }[] = [
  {
    why: 'a quarantined agent',
    sql: "UPDATE agents SET status = 'quarantined' WHERE id = $1",
    code: 'AGENT_QUARANTINED',
    denies: ['AGENT_QUARANTINED'],
  },
  {
    why: 'an expired one can be neither started nor promoted',
    sql: "UPDATE agents SET expires_at = '2020-01-01' WHERE id = $1",
    code: 'ADMISSION_DENIED',
    denies: ['SANDBOX_EXPIRED'],
  },
  {
    why: 'a spec that was edited would be frozen and signed as it is',
    sql: `UPDATE agent_specs SET spec = '{"name": "other"}' WHERE agent_id = $1`,
    code: 'ADMISSION_DENIED',
    denies: ['SPEC_HASH_MISMATCH'],
  },
  {
    why: 'an agent that was governed before cannot be laundered',
    sql: `INSERT INTO agent_proofs SELECT workspace_id, gen_random_uuid(), id, '{}', 1, '', '', '', gen_random_uuid(), NULL,
      now(), now() FROM agents WHERE id = $1`,
    code: 'ADMISSION_DENIED',
    denies: ['PROOF_MISSING'],
  },
  {
    why: 'nothing is promoted in a suspended workspace',
    sql: "UPDATE workspaces SET state = 'suspended' WHERE id = 'demo' AND $1::uuid IS NOT NULL",
    code: 'WORKSPACE_SUSPENDED',
    denies: ['WORKSPACE_SUSPENDED'],
  },
];

for (const { why, sql, code, denies } of obstacles) {
  t.test(`refused before any policy is asked: ${why}`, async (t) => {
    const world = await governance(t);
    const agentId = await world.sandboxAgent();
    await tamper(world.database, sql, [agentId]);
    await t.rejects(world.promote(WORKSPACE, agentId, {}, ADMIN), {
      code,
      denies: denies.map((one) => ({ code: one })),
    });
    t.same(world.policy.asked, []);
    t.match(await world.events(EVENTS), [{ event_type: 'promotion.denied' }]);
    t.match(await world.row('SELECT effect, codes FROM decisions'), { effect: 'DENY', codes: denies });
  });
}

t.test('a running sandbox agent is stopped by its promotion', async (t) => {
  const world = await governance(t);
  const agentId = await world.sandboxAgent();
  await world.start(WORKSPACE, agentId, {}, OPERATOR);
  const result = await world.promote(WORKSPACE, agentId, {}, ADMIN);
  t.match(result, { success: true, governedAgent: { status: 'stopped', mode: 'governed', desiredReplicas: 0 } });
  t.match(await world.events(['agent.stopped']), [{ payload: { agentId, reason: COMMITMENT } }]);
});

t.test('without a proof signer nothing happens', async (t) => {
  const world = await governance(t);
  const agentId = await world.sandboxAgent();
  const before = await state(world, agentId);
  world.switches.proofDown = true;
  await t.rejects(world.promote(WORKSPACE, agentId, {}, ADMIN), { code: 'SIGNER_UNAVAILABLE' });
  world.switches.proofDown = false;
  await world.registry.revoke('proof-1', 'lost', ADMIN);
  await t.rejects(world.promote(WORKSPACE, agentId, {}, ADMIN), { code: 'SIGNER_UNAVAILABLE' });
  t.same(await state(world, agentId), before);
});

t.test('a signer revoked between signing and storing signs nothing that is stored', async (t) => {
  const world = await governance(t);
  const agentId = await world.sandboxAgent();
  const before = await state(world, agentId);
  world.between.signed = () => world.registry.revoke('proof-1', 'lost', ADMIN);
  await t.rejects(world.promote(WORKSPACE, agentId, {}, ADMIN), { code: 'SIGNER_UNAVAILABLE' });
  t.same(await state(world, agentId), before);
});

t.test('a policy activated between the two phases decides anew', async (t) => {
  const world = await governance(t);
  const agentId = await world.sandboxAgent();
  world.policy.answers.set(POLICIES.second, denial('TEMPERATURE_VIOLATION'));
  let rounds = 0;
  world.between.phases = async () => {
    rounds += 1;
    if (rounds === 1) await world.activate(POLICIES.second);
  };
  t.match(await world.promote(WORKSPACE, agentId, {}, ADMIN), {
    success: false,
    denies: [{ code: 'TEMPERATURE_VIOLATION' }],
  });
  t.equal(rounds, 2);
  t.match(await world.row('SELECT policy_hash FROM decisions'), { policy_hash: POLICIES.second });
});

t.test('two at once promote once', async (t) => {
  const world = await governance(t);
  const agentId = await world.sandboxAgent();
  const results = await Promise.allSettled([
    world.promote(WORKSPACE, agentId, {}, ADMIN),
    world.promote(WORKSPACE, agentId, {}, ADMIN),
  ]);
  t.equal(results.filter((one) => one.status === 'fulfilled').length, 1);
  t.equal((await world.events(['proof.issued'])).length, 1);
});

t.test('the candidate policy is recorded with the promotion', async (t) => {
  const world = await governance(t);
  const agentId = await world.sandboxAgent();
  await tamper(world.database, 'UPDATE policy_heads SET shadow_hash = $2 WHERE workspace_id = $1', [
    WORKSPACE,
    POLICIES.second,
  ]);
  world.policy.answers.set(POLICIES.second, denial('BUDGET_EXCEEDED'));
  const { decisionId } = await world.promote(WORKSPACE, agentId, {}, ADMIN);
  t.match(await world.row('SELECT shadow FROM decisions WHERE id = $1', [decisionId]), {
    shadow: { policyHash: POLICIES.second, effect: 'DENY', denies: [{ code: 'BUDGET_EXCEEDED' }] },
  });
});

t.test('an unknown agent is not found, one of another workspace neither', async (t) => {
  const world = await governance(t);
  await t.rejects(world.promote(WORKSPACE, newId(), {}, ADMIN), { code: 'NOT_FOUND' });
  const agentId = await world.sandboxAgent();
  await t.rejects(world.promote('other', agentId, {}, ADMIN), { code: 'NOT_FOUND' });
});

t.test('in a batch every decision is an outcome', async (t) => {
  const world = await governance(t);
  const act = createBatchPromotion(world.promote);
  const agentId = await world.sandboxAgent();
  t.match(await act(WORKSPACE, agentId, ADMIN), { success: true, status: 'stopped' });
  await t.rejects(act(WORKSPACE, agentId, ADMIN), { code: 'ALREADY_GOVERNED' });
  const second = await world.sandboxAgent();
  world.policy.answers.set('*', denial('BUDGET_EXCEEDED'));
  t.match(await act(WORKSPACE, second, ADMIN), { success: false, code: 'BUDGET_EXCEEDED' });
  await tamper(world.database, "UPDATE agents SET status = 'quarantined' WHERE id = $1", [second]);
  t.match(await act(WORKSPACE, second, ADMIN), {
    success: false,
    code: 'AGENT_QUARANTINED',
    denies: [{ code: 'AGENT_QUARANTINED' }],
  });
});

t.test('a proof binds agent and policy for verification, each reason by its name', async (t) => {
  const world = await governance(t);
  const agentId = await governedAgent(world);
  const { proof } = await world.subject(agentId);
  const envelope = structuredClone(proof?.envelope);
  const verify = (given: unknown = envelope, spec?: unknown, onlyAgent?: string) =>
    world.verifyProof(WORKSPACE, spec === undefined ? { proof: given } : { proof: given, spec }, onlyAgent);
  const changed = (change: (copy: Record<string, string>) => void) => {
    const copy = JSON.parse(JSON.stringify(envelope));
    change(copy);
    return copy;
  };

  t.same(await verify(), { valid: true });
  t.same(await verify(envelope, SPEC), { valid: true });
  t.same(await verify(envelope, { ...SPEC, name: 'x' }), { valid: false, reason: 'SPEC_HASH_MISMATCH' });
  t.same(await verify(envelope, { name: 2 ** 60 }), { valid: false, reason: 'SPEC_HASH_MISMATCH' });
  t.same(await verify(null), { valid: false, reason: 'MALFORMED' });
  t.same(await verify({}), { valid: false, reason: 'MALFORMED' });
  t.same(await verify(envelope, undefined, newId()), { valid: false, reason: 'MALFORMED' }, 'not its own');
  t.same(await world.verifyProof('other', { proof: envelope }), { valid: false, reason: 'MALFORMED' });
  const payload = changed((copy) => {
    copy['payload'] = Buffer.from('{}').toString('base64');
  });
  t.same(await verify(payload), { valid: false, reason: 'SIGNATURE_INVALID' });
  const unknown = JSON.parse(JSON.stringify(envelope).replace('"proof-1"', '"proof-9"'));
  t.same(await verify(unknown), { valid: false, reason: 'SIGNER_UNKNOWN' });
  world.time.now += 90 * DAY;
  t.same(await verify(), { valid: false, reason: 'EXPIRED' });
  world.time.now -= 90 * DAY;
  await world.activate(POLICIES.second);
  t.same(await verify(), { valid: false, reason: 'POLICY_HASH_MISMATCH' });
  await world.registry.revoke('proof-1', 'lost', ADMIN);
  t.same(await verify(), { valid: false, reason: 'SIGNER_REVOKED' });
});
