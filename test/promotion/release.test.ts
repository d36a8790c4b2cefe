import t from 'tap';

import { newId } from '../../src/ids.ts';
import { PolicyEvaluationError } from '../../src/policy/errors.ts';
import {
  ADMIN,
  DAY,
  denial,
  type Governance,
  governance,
  governedAgent,
  OPERATOR,
  POLICIES,
  tamper,
  WORKSPACE,
} from '../admission/fixture.ts';
import { COMMITMENT } from '../support/personal.ts';

const EVENTS = ['agent.released', 'agent.release.denied', 'proof.renewed'];

async function quarantined(world: Governance): Promise<string> {
  const agentId = await governedAgent(world);
  await world.brakes.quarantine(WORKSPACE, agentId, 'suspicious', ADMIN);
  return agentId;
}

async function invalidate({ database }: Governance, agentId: string): Promise<void> {
  const invalidation = { at: '2026-01-01T00:00:00.000Z', policyHash: POLICIES.first, denies: [] };
  await tamper(database, 'UPDATE agents SET invalidation = $2 WHERE id = $1', [agentId, JSON.stringify(invalidation)]);
}

t.test('an agent that passes again is released, and may start', async (t) => {
  const world = await governance(t);
  const agentId = await quarantined(world);
  await invalidate(world, agentId);
  const { proof } = await world.subject(agentId);
  const revision = await world.row("SELECT revision FROM policy_heads WHERE workspace_id = 'demo'");
  const result = await world.release(WORKSPACE, agentId, 'looked into it', ADMIN);
  t.match(result, { success: true, agentId, status: 'stopped', proofId: proof?.id });
  t.match(world.policy.asked.at(-1), {
    policyPackage: 'castellan.promotion',
    input: { mode: 'revalidate', actor: { id: 'ada', roles: ['kernel-admin'] }, agent: { mode: 'governed' } },
  });
  t.notMatch(world.policy.asked.at(-1), { input: { approval: {} } });
  t.match(await world.row('SELECT * FROM agents WHERE id = $1', [agentId]), {
    status: 'stopped',
    quarantine: null,
    invalidation: null,
    proof_id: proof?.id,
  });
  t.match(await world.events(EVENTS), [
    { event_type: 'agent.released', payload: { agentId, reason: COMMITMENT, decisionId: result.decisionId } },
  ]);
  t.match(await world.row('SELECT * FROM decisions WHERE id = $1', [result.decisionId]), {
    kind: 'release',
    effect: 'ALLOW',
    actor_id: ADMIN.id,
  });
  const after = await world.row("SELECT revision FROM policy_heads WHERE workspace_id = 'demo'");
  t.ok(Number(after['revision']) > Number(revision['revision']), 'the snapshot lists invalidated agents');
  t.match(await world.start(WORKSPACE, agentId, {}, OPERATOR), { success: true });
  await t.rejects(world.release(WORKSPACE, agentId, 'again', ADMIN), { code: 'NOT_QUARANTINED' });
});

t.test('under another policy it gets a proof of that policy', async (t) => {
  const world = await governance(t);
  const agentId = await quarantined(world);
  const before = await world.subject(agentId);
  await world.activate(POLICIES.second);
  const { proofId } = await world.release(WORKSPACE, agentId, 'looked into it', ADMIN);
  t.not(proofId, before.proof?.id);
  t.match(await world.events(EVENTS), [
    { event_type: 'agent.released', payload: { proofId } },
    {
      event_type: 'proof.renewed',
      payload: { agentId, proofId, previousProofId: before.proof?.id, policyHash: POLICIES.second },
    },
  ]);
  t.match(await world.row('SELECT * FROM agent_proofs WHERE id = $1', [proofId]), {
    previous_proof: before.proof?.id,
    promotion_id: before.proof?.promotionId,
    policy_hash: POLICIES.second,
  });
  t.match(await world.start(WORKSPACE, agentId, {}, OPERATOR), { success: true });
});

const refusals: { why: string; spoil: (world: Governance, agentId: string) => Promise<unknown>; codes: string[] }[] = [
  {
    why: 'the policy still denies',
    spoil: async (world) => void world.policy.answers.set('*', denial('BUDGET_EXCEEDED')),
    codes: ['BUDGET_EXCEEDED'],
  },
  {
    why: 'the policy fails',
    spoil: async ({ policy }) =>
      void policy.answers.set('*', () => Promise.reject(new PolicyEvaluationError('POLICY_EVALUATION_FAILED', 'no'))),
    codes: ['INTERCEPTOR_ERROR'],
  },
  {
    why: 'its spec was edited',
    spoil: ({ database }, agentId) =>
      tamper(database, `UPDATE agent_specs SET spec = '{"name": "x"}' WHERE agent_id = $1`, [agentId]),
    codes: ['SPEC_HASH_MISMATCH'],
  },
  {
    why: 'its proof ran out',
    spoil: async ({ time }) => {
      time.now += 90 * DAY;
    },
    codes: ['PROOF_EXPIRED'],
  },
  {
    why: 'its signer was revoked',
    spoil: ({ registry }) => registry.revoke('proof-1', 'lost', ADMIN),
    codes: ['SIGNER_REVOKED'],
  },
  {
    why: 'its proof is gone',
    spoil: ({ database }, agentId) => tamper(database, 'DELETE FROM agent_proofs WHERE agent_id = $1', [agentId]),
    codes: ['PROOF_MISSING'],
  },
];

for (const { why, spoil, codes } of refusals) {
  t.test(`it stays in quarantine when ${why}`, async (t) => {
    const world = await governance(t);
    const agentId = await quarantined(world);
    await spoil(world, agentId);
    const asked = world.policy.asked.length;
    await t.rejects(world.release(WORKSPACE, agentId, 'please', ADMIN), {
      code: 'RELEASE_DENIED',
      denies: codes.map((code) => ({ code })),
    });
    if (codes[0] !== 'BUDGET_EXCEEDED' && codes[0] !== 'INTERCEPTOR_ERROR') {
      t.equal(world.policy.asked.length, asked, 'no policy is asked about a proof that does not hold');
    }
    t.match(await world.row('SELECT status, quarantine FROM agents WHERE id = $1', [agentId]), {
      status: 'quarantined',
      quarantine: { reason: 'suspicious' },
    });
    t.match(await world.events(EVENTS), [{ event_type: 'agent.release.denied', payload: { agentId } }]);
    t.match(await world.row("SELECT effect, codes FROM decisions WHERE kind = 'release'"), { effect: 'DENY', codes });
  });
}

t.test('a policy that is away refuses, and nothing is decided', async (t) => {
  const world = await governance(t);
  const agentId = await quarantined(world);
  world.policy.answers.set('*', () => Promise.reject(new PolicyEvaluationError('POLICY_UNAVAILABLE', 'no')));
  await t.rejects(world.release(WORKSPACE, agentId, 'please', ADMIN), { code: 'POLICY_UNAVAILABLE' });
  t.same(await world.events(EVENTS), []);
});

t.test('a sandbox agent is released without a proof, even one whose time is over', async (t) => {
  const world = await governance(t);
  const agentId = await world.sandboxAgent();
  await world.brakes.quarantine(WORKSPACE, agentId, 'suspicious', ADMIN);
  world.time.now += DAY;
  t.match(await world.release(WORKSPACE, agentId, 'fine', ADMIN), { status: 'stopped', proofId: null });
  t.same(world.policy.asked, []);
});

t.test('an agent put back into the sandbox by hand is not', async (t) => {
  const world = await governance(t);
  const agentId = await quarantined(world);
  await tamper(world.database, "UPDATE agents SET mode = 'sandbox', proof_id = NULL WHERE id = $1", [agentId]);
  await t.rejects(world.release(WORKSPACE, agentId, 'please', ADMIN), {
    code: 'RELEASE_DENIED',
    denies: [{ code: 'PROOF_MISSING' }],
  });
});

t.test('what is edited between the two phases is seen', async (t) => {
  const world = await governance(t);
  const agentId = await quarantined(world);
  let rounds = 0;
  world.between.phases = async () => {
    rounds += 1;
    if (rounds > 1) return;
    await tamper(world.database, `UPDATE agent_specs SET spec = '{"name": "x"}' WHERE agent_id = $1`, [agentId]);
  };
  await t.rejects(world.release(WORKSPACE, agentId, 'please', ADMIN), {
    code: 'RELEASE_DENIED',
    denies: [{ code: 'SPEC_HASH_MISMATCH' }],
  });
});

t.test('an agent that is not quarantined, or not there', async (t) => {
  const world = await governance(t);
  await t.rejects(world.release(WORKSPACE, await governedAgent(world), 'why', ADMIN), { code: 'NOT_QUARANTINED' });
  await t.rejects(world.release(WORKSPACE, newId(), 'why', ADMIN), { code: 'NOT_FOUND' });
});
