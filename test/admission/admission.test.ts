import { readFile } from 'node:fs/promises';
import t, { type Test } from 'tap';

import { canonicalBytes } from '../../src/crypto/canonical-json.ts';
import { pae } from '../../src/crypto/dsse.ts';
import { newId } from '../../src/ids.ts';
import { PolicyEvaluationError } from '../../src/policy/errors.ts';
import { buildStatement, type ProofStatement, statedSpecHash } from '../../src/proofs/statement.ts';
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
} from './fixture.ts';

interface Case {
  readonly why: string;
  readonly agent: 'sandbox' | 'governed';
  readonly sql: readonly string[];
  /** "<check> <code> <severity>" in order. */
  readonly denies: readonly string[];
}

const SEVEN = [
  'sandboxExpiry',
  'sandboxContainment',
  'proofPresence',
  'specHash',
  'policyHashBinding',
  'signerRevocation',
  'signature',
];
const cases: Case[] = JSON.parse(await readFile(new URL('./tampering.json', import.meta.url), 'utf8'));

t.test('what the stored rows say decides', async (t) => {
  const world = await governance(t);
  for (const one of cases) await tampered(t, world, one);
});

async function tampered(t: Test, world: Governance, one: Case): Promise<void> {
  await t.test(one.why, async (t) => {
    const agentId = one.agent === 'sandbox' ? await world.sandboxAgent() : await governedAgent(world);
    const shared = await sharedRows(world);
    for (const text of one.sql) await tamper(world.database, text, [WORKSPACE, agentId]);
    const { allowed, checks, denies } = await world.admission.evaluate(await world.subject(agentId));
    t.same(
      denies.map(({ check, code, severity }) => `${check} ${code} ${severity}`),
      one.denies,
    );
    t.equal(allowed, one.denies.length === 0);
    t.same(
      checks.map((outcome) => outcome.check),
      SEVEN,
      'exactly the seven',
    );
    await shared.restore();
  });
}

/** Rows that belong to no single agent are put back for the next case. */
async function sharedRows({ database }: Governance) {
  const { rows: signers } = await database.query('SELECT * FROM signers');
  return {
    restore: async () => {
      await database.query('DELETE FROM signers');
      for (const signer of signers) {
        await database.query('INSERT INTO signers SELECT * FROM json_populate_record(NULL::signers, $1)', [
          JSON.stringify(signer),
        ]);
      }
      await database.query('UPDATE policy_heads SET hash = $2 WHERE workspace_id = $1', [WORKSPACE, POLICIES.first]);
      await database.query("UPDATE workspaces SET state = 'active' WHERE id = $1", [WORKSPACE]);
    },
  };
}

t.test('which checks concern whom', async (t) => {
  const world = await governance(t);
  const outcomes = async (agentId: string) => {
    const result = await world.admission.evaluate(await world.subject(agentId));
    return [...result.checks, ...result.interceptors].map((one) => `${one.check} ${one.outcome}`);
  };
  const interceptors = ['quarantine pass', 'killSwitch pass', 'workspaceState pass'];
  t.same(await outcomes(await world.sandboxAgent()), [
    'sandboxExpiry pass',
    'sandboxContainment pass',
    ...SEVEN.slice(2).map((check) => `${check} skip`),
    ...interceptors,
    'proofExpiry skip',
    'runtimePolicy skip',
  ]);
  t.same(await outcomes(await governedAgent(world)), [
    'sandboxExpiry skip',
    'sandboxContainment skip',
    ...SEVEN.slice(2).map((check) => `${check} pass`),
    ...interceptors,
    'proofExpiry pass',
    'runtimePolicy skip',
  ]);
});

t.test('a proof that is really signed, and still not for this agent', async (t) => {
  const world = await governance(t);
  const resigned = async (change: (statement: ProofStatement) => Parameters<typeof buildStatement>[0]) => {
    const agentId = await governedAgent(world);
    const subject = await world.subject(agentId);
    const old = openStored(subject.proof?.envelope);
    const payload = canonicalBytes(buildStatement(change(old)));
    const signature = await world.signers.proof.sign(pae('application/vnd.in-toto+json', payload));
    const envelope = {
      payloadType: 'application/vnd.in-toto+json',
      payload: payload.toString('base64'),
      signatures: [{ keyid: 'proof-1', sig: signature.toString('base64') }],
    };
    await tamper(world.database, 'UPDATE agent_proofs SET envelope = $2 WHERE agent_id = $1', [
      agentId,
      JSON.stringify(envelope),
    ]);
    const { denies } = await world.admission.evaluate(await world.subject(agentId));
    return denies.map(({ check, code }) => `${check} ${code}`);
  };
  const facts = (statement: ProofStatement) => ({ ...statement.predicate, specHash: statedSpecHash(statement) });
  t.same(await resigned(facts), [], 'signed again as it was, it holds');
  t.same(await resigned((old) => ({ ...facts(old), agentId: newId() })), ['signature SIGNATURE_INVALID']);
  t.same(await resigned((old) => ({ ...facts(old), workspaceId: 'other' })), ['signature SIGNATURE_INVALID']);
  t.same(await resigned((old) => ({ ...facts(old), specVersion: 2 })), ['specHash SPEC_HASH_MISMATCH']);
});

t.test('the proof of another agent does not serve', async (t) => {
  const world = await governance(t);
  const [mine, theirs] = [await governedAgent(world), await governedAgent(world)];
  await tamper(
    world.database,
    'UPDATE agents SET proof_id = (SELECT proof_id FROM agents o WHERE o.id = $2) WHERE id = $1',
    [mine, theirs],
  );
  const { denies } = await world.admission.evaluate(await world.subject(mine));
  t.match(denies, [{ code: 'PROOF_MISSING' }]);
});

t.test('a proof runs out by its signed time', async (t) => {
  const world = await governance(t);
  const agentId = await governedAgent(world);
  await tamper(world.database, "UPDATE agent_proofs SET expires_at = '2999-01-01' WHERE agent_id = $1", [agentId]);
  world.time.now += 90 * DAY;
  const { denies } = await world.admission.evaluate(await world.subject(agentId));
  t.match(denies, [{ code: 'PROOF_EXPIRED', check: 'proofExpiry', severity: 'DENY' }]);
  t.equal(denies.length, 1);
});

t.test('quarantine tells what it was invalidated for', async (t) => {
  const world = await governance(t);
  const agentId = await governedAgent(world);
  const cause = [{ code: 'BUDGET_EXCEEDED', reason: 'too much', severity: 'DENY', check: 'castellan.promotion' }];
  await tamper(world.database, "UPDATE agents SET status = 'quarantined', invalidation = $2 WHERE id = $1", [
    agentId,
    JSON.stringify({ at: '2026-01-01T00:00:00.000Z', denies: cause }),
  ]);
  const { denies } = await world.admission.evaluate(await world.subject(agentId));
  t.same(denies, [
    { code: 'AGENT_QUARANTINED', reason: 'the agent is quarantined', severity: 'DENY', check: 'quarantine', cause },
  ]);
});

t.test('the runtime policy', async (t) => {
  const world = await governance(t);
  const agentId = await world.sandboxAgent();
  const evaluate = async () => world.admission.evaluate(await world.subject(agentId));

  await t.test('is asked with the start, and denies', async (t) => {
    world.policy.answers.set('*', denial('NOT_ON_SUNDAY'));
    t.match((await evaluate()).denies, [{ code: 'NOT_ON_SUNDAY', check: 'castellan.runtime', severity: 'DENY' }]);
    t.match(world.policy.asked.at(-1), {
      hash: POLICIES.first,
      policyPackage: 'castellan.runtime',
      input: {
        actor: { id: ADMIN.id, kind: 'human', roles: ['kernel-admin'] },
        workspace: WORKSPACE,
        agent: { id: agentId, mode: 'sandbox', spec: { name: 'reader' } },
        mode: 'start',
      },
    });
  });

  await t.test('passes without a denial', async (t) => {
    world.policy.answers.set('*', () => ({ deny: [] }));
    const { allowed, interceptors } = await evaluate();
    t.ok(allowed);
    t.match(interceptors.at(-1), { check: 'runtimePolicy', outcome: 'pass' });
  });

  for (const code of ['POLICY_EVALUATION_FAILED', 'POLICY_UNAVAILABLE'] as const) {
    await t.test(`denies when it cannot answer: ${code}`, async (t) => {
      world.policy.answers.set('*', () => Promise.reject(new PolicyEvaluationError(code, 'no')));
      t.match((await evaluate()).denies, [{ code: 'INTERCEPTOR_ERROR' }]);
    });
  }

  await t.test('cannot make an event too large with its texts', async (t) => {
    world.policy.answers.set('*', () => ({
      deny: Array.from({ length: 500 }, (_, n) => ({ code: `C${n}`, reason: `\0\ud800${'x'.repeat(100_000)}` })),
    }));
    const { denies } = await evaluate();
    t.ok(canonicalBytes(denies).length < 60_000);
  });
});

t.test('the candidate policy is recorded and never enforced', async (t) => {
  const world = await governance(t);
  const agentId = await world.sandboxAgent();
  await tamper(world.database, 'UPDATE policy_heads SET shadow_hash = $2 WHERE workspace_id = $1', [
    WORKSPACE,
    POLICIES.second,
  ]);
  world.policy.answers.set(POLICIES.second, denial('LATER'));
  const { decisionId } = await world.start(WORKSPACE, agentId, {}, OPERATOR);
  const { shadow } = await world.row('SELECT shadow FROM decisions WHERE id = $1', [decisionId]);
  t.match(shadow, { policyHash: POLICIES.second, effect: 'DENY', denies: [{ code: 'LATER' }] });

  world.policy.answers.set(POLICIES.second, () => Promise.reject(new Error('broken')));
  const result = await world.admission.evaluate(await world.subject(agentId));
  t.ok(result.allowed);
  t.notOk(result.shadow);
  t.match(world.failures.at(-1), { check: 'shadow castellan.runtime' });
});

t.test('what is edited between the two phases of a start is seen under the lock', async (t) => {
  const world = await governance(t);
  const edits: readonly (readonly [why: string, text: string])[] = [
    ['the agent', 'UPDATE agents SET name = name WHERE id = $1'],
    ['its spec', 'UPDATE agent_specs SET spec = spec WHERE agent_id = $1'],
    ['its proof', 'UPDATE agent_proofs SET envelope = envelope WHERE agent_id = $1'],
    ['the signer', "UPDATE signers SET state = state WHERE signer_id = 'proof-1' AND $1::uuid IS NOT NULL"],
    [
      'the policy head',
      "UPDATE policy_heads SET activation_seq = activation_seq + 1 WHERE workspace_id = 'demo' AND $1::uuid IS NOT NULL",
    ],
    ['the workspace', "UPDATE workspaces SET state = state WHERE id = 'demo' AND $1::uuid IS NOT NULL"],
  ];
  for (const [why, text] of edits) {
    await t.test(why, async (t) => {
      const agentId = await governedAgent(world);
      let rounds = 0;
      world.between.phases = async () => {
        rounds += 1;
        if (rounds === 1) await tamper(world.database, text, [agentId]);
      };
      await world.start(WORKSPACE, agentId, {}, OPERATOR);
      t.equal(rounds, 2, 'decided again');
      world.between.phases = async () => undefined;
    });
  }

  await t.test('and what the edit spoils is denied', async (t) => {
    const agentId = await governedAgent(world);
    let rounds = 0;
    world.between.phases = async () => {
      rounds += 1;
      if (rounds > 1) return;
      const text = `UPDATE agent_specs SET spec = '{"name": "other"}' WHERE agent_id = $1`;
      await tamper(world.database, text, [agentId]);
    };
    await t.rejects(world.start(WORKSPACE, agentId, {}, OPERATOR), {
      code: 'ADMISSION_DENIED',
      denies: [{ code: 'SPEC_HASH_MISMATCH' }],
    });
    world.between.phases = async () => undefined;
  });
});

t.test('an agent of another workspace is not there', async (t) => {
  const world = await governance(t);
  const agentId = await world.sandboxAgent();
  t.equal(await world.admission.load('other', agentId, ADMIN), undefined);
  t.equal(await world.admission.load(WORKSPACE, newId(), ADMIN), undefined);
  t.equal(await world.admission.load(WORKSPACE, 'no-uuid', ADMIN), undefined);
});

t.test('many agents in one statement', async (t) => {
  const world = await governance(t);
  const ids = [await world.sandboxAgent(), await governedAgent(world), newId()];
  const { subjects, prints } = await world.storage.read(WORKSPACE, async (trx) => ({
    subjects: await world.admission.loadMany(trx, WORKSPACE, ids, ADMIN),
    prints: await world.admission.fingerprints(trx, WORKSPACE, ids),
  }));
  t.same(
    subjects.map((subject) => subject.agentId),
    ids.slice(0, 2),
  );
  for (const { agentId, fingerprint } of subjects) t.equal(prints.get(agentId), fingerprint);
  t.equal(prints.size, 2);
});

function openStored(envelope: unknown): ProofStatement {
  const payload = Reflect.get(Object(envelope), 'payload');
  return JSON.parse(Buffer.from(String(payload), 'base64').toString('utf8'));
}
