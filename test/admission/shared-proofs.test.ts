import t from 'tap';

import { governanceOf } from '../../src/agents/governance.ts';
import { newId } from '../../src/ids.ts';
import { createRecheck } from '../../src/promotion/recheck.ts';
import { ADMIN, DAY, governance, governedAgent, OPERATOR, POLICIES, SPEC, tamper, WORKSPACE } from './fixture.ts';
import { coldDenials, sharedAgents } from './shared.ts';

/** Every check that reads the statement: there is none to read. */
const UNREADABLE = [
  'specHash SPEC_HASH_MISMATCH',
  'policyHashBinding POLICY_HASH_MISMATCH',
  'signature SIGNATURE_INVALID',
  'proofExpiry PROOF_EXPIRED',
];
const FORGED = ['signature SIGNATURE_INVALID'];

interface Edit {
  readonly why: string;
  /** `$1` is the agent, `$2` the digest of its statement, `$3` that of a statement of others. */
  readonly sql: string;
  readonly denies: readonly string[];
}

const EDITS: readonly Edit[] = [
  {
    why: 'the proof refers to the statement of others',
    sql: `UPDATE agent_proofs SET envelope = jsonb_build_object('statement', $3::text)
      WHERE agent_id = $1 AND envelope ? 'statement' AND $2::text IS NOT NULL`,
    denies: UNREADABLE,
  },
  {
    why: 'the proof holds the statement of others itself',
    sql: `UPDATE agent_proofs SET envelope = (SELECT envelope FROM proof_statements WHERE digest = $3)
      WHERE agent_id = $1 AND envelope ? 'statement' AND $2::text IS NOT NULL`,
    denies: UNREADABLE,
  },
  {
    why: 'the proof refers to a statement that is not there',
    sql: `UPDATE agent_proofs SET envelope = jsonb_build_object('statement', 'sha256:' || repeat('0', 64))
      WHERE agent_id = $1 AND envelope ? 'statement' AND $2 || $3 IS NOT NULL`,
    denies: UNREADABLE,
  },
  ...['null', '{}', '"x"', '{"statement":1}', '{"statement":"x"}', '{"statement":null,"payload":""}'].map((value) => ({
    why: `the reference is ${value}`,
    sql: `UPDATE agent_proofs SET envelope = '${value}'
      WHERE agent_id = $1 AND envelope ? 'statement' AND $2 || $3 IS NOT NULL`,
    denies: value === 'null' || value === '"x"' ? ['proofPresence PROOF_MISSING', ...UNREADABLE] : UNREADABLE,
  })),
  {
    why: 'the statement is gone',
    sql: 'DELETE FROM proof_statements WHERE digest = $2 AND $1 || $3 IS NOT NULL',
    denies: UNREADABLE,
  },
  {
    why: 'the statement is that of another workspace',
    sql: `UPDATE proof_statements SET workspace_id = 'other' WHERE digest = $2 AND $1 || $3 IS NOT NULL`,
    denies: UNREADABLE,
  },
  {
    why: 'the statement was exchanged for another that is really signed',
    sql: `UPDATE proof_statements SET envelope = (SELECT envelope FROM proof_statements WHERE digest = $3)
      WHERE digest = $2 AND $1::text IS NOT NULL`,
    denies: UNREADABLE,
  },
  {
    why: 'a byte of the statement was changed',
    sql: `UPDATE proof_statements SET envelope = jsonb_set(envelope, '{payload}', to_jsonb(replace(encode(convert_to(
      replace(convert_from(decode(envelope ->> 'payload', 'base64'), 'UTF8'), '"specVersion":1', '"specVersion":2'),
      'UTF8'), 'base64'), E'\\n', ''))) WHERE digest = $2 AND $1 || $3 IS NOT NULL`,
    denies: UNREADABLE,
  },
  {
    why: 'the statement is the proof of one agent, under its digest',
    sql: `WITH one AS (SELECT envelope, 'sha256:' || encode(sha256(decode(envelope ->> 'payload', 'base64')), 'hex') AS digest
        FROM agent_proofs WHERE agent_id = $1 AND envelope ? 'payload' AND $2 || $3 IS NOT NULL),
      stored AS (INSERT INTO proof_statements SELECT '${WORKSPACE}', digest, envelope, now() FROM one)
      UPDATE agent_proofs p SET envelope = jsonb_build_object('statement', one.digest) FROM one
      WHERE p.agent_id = $1 AND p.envelope ? 'statement'`,
    denies: UNREADABLE,
  },
  ...['null', '[]', '{}', '{"payload":"%%"}'].map((value) => ({
    why: `the statement is ${value}`,
    sql: `UPDATE proof_statements SET envelope = '${value}' WHERE digest = $2 AND $1 || $3 IS NOT NULL`,
    denies: UNREADABLE,
  })),
  {
    why: 'the signature of the statement was changed',
    sql: `UPDATE proof_statements SET envelope = jsonb_set(envelope, '{signatures,0,sig}', to_jsonb(repeat('A', 86) || '=='))
      WHERE digest = $2 AND $1 || $3 IS NOT NULL`,
    denies: FORGED,
  },
  {
    why: 'the statement names another signer than the row',
    sql: `UPDATE proof_statements SET envelope = jsonb_set(envelope, '{signatures,0,keyid}', '"audit-1"')
      WHERE digest = $2 AND $1 || $3 IS NOT NULL`,
    denies: FORGED,
  },
  {
    why: 'the row names another signer than the statement',
    sql: `UPDATE agent_proofs SET signer_id = 'audit-1' WHERE agent_id = $1 AND $2 || $3 IS NOT NULL`,
    denies: FORGED,
  },
  {
    why: 'the spec was edited',
    sql: `UPDATE agent_specs SET spec = '{"name":"other"}' WHERE agent_id = $1 AND $2 || $3 IS NOT NULL`,
    denies: ['specHash SPEC_HASH_MISMATCH'],
  },
];

t.test('agents with a proof in common are admitted, and show it whole', async (t) => {
  const world = await governance(t);
  const { ids, digest, envelope } = await sharedAgents(world, 3);
  for (const agentId of ids) {
    const subject = await world.subject(agentId);
    t.same(subject.proof?.envelope, { statement: digest });
    t.equal((await world.admission.evaluate(subject)).allowed, true);
    t.same(await coldDenials(world, agentId), []);
    t.same(governanceOf(subject, { ownOnly: false }).proof, envelope, 'the envelope, not the reference');
    t.match(await world.start(WORKSPACE, agentId, {}, OPERATOR), { success: true });
  }
  const subjects = await world.storage.read(WORKSPACE, (trx) =>
    world.admission.loadMany(trx, WORKSPACE, [...ids, newId()], ADMIN),
  );
  for (const subject of subjects) t.equal((await world.admission.evaluate(subject)).allowed, true);
});

t.test('a proof in common holds for exactly the agents it names, unchanged', async (t) => {
  const world = await governance(t);
  const others = await sharedAgents(world);
  for (const { why, sql, denies } of EDITS) {
    await t.test(why, async (t) => {
      const { ids, digest } = await sharedAgents(world);
      const [agentId = ''] = ids;
      await tamper(world.database, sql, [agentId, digest, others.digest]);
      t.same(await coldDenials(world, agentId), denies);
      const [subject] = await world.storage.read(WORKSPACE, (trx) =>
        world.admission.loadMany(trx, WORKSPACE, [agentId], ADMIN),
      );
      t.ok(subject && governanceOf(subject, { ownOnly: false }), 'and can be looked at');
    });
  }
  for (const agentId of others.ids) t.same(await coldDenials(world, agentId), [], 'nobody else minds');
});

t.test('what is put right is seen without a new start of the service', async (t) => {
  const world = await governance(t);
  const { ids, envelope } = await sharedAgents(world);
  const [agentId = ''] = ids;
  const edit = (text: string) => tamper(world.database, 'UPDATE proof_statements SET envelope = $1', [text]);
  const allowed = async () => (await world.admission.evaluate(await world.subject(agentId))).allowed;
  const broken = {
    'a signature': { ...envelope, signatures: [{ ...envelope.signatures[0], sig: `${'A'.repeat(86)}==` }] },
    'a signer': { ...envelope, signatures: [{ ...envelope.signatures[0], keyid: 'audit-1' }] },
    'a payload': { ...envelope, payload: 'e30=' },
  };
  for (const [why, value] of Object.entries(broken)) {
    await edit(JSON.stringify(value));
    t.equal(await allowed(), false, why);
    await edit(JSON.stringify(envelope));
    t.equal(await allowed(), true, `${why}, put right`);
    // Read again at the next denial only: what is kept under a digest is what was signed.
    await tamper(world.database, "UPDATE agent_proofs SET signer_id = 'audit-1' WHERE agent_id = $1", [agentId]);
    t.equal(await allowed(), false);
    await tamper(world.database, "UPDATE agent_proofs SET signer_id = 'proof-1' WHERE agent_id = $1", [agentId]);
  }
});

t.test('signer, policy and time count for all of them', async (t) => {
  const world = await governance(t);
  const { ids } = await sharedAgents(world);
  const [agentId = ''] = ids;
  await world.activate(POLICIES.second);
  t.same(await coldDenials(world, agentId), ['policyHashBinding POLICY_HASH_MISMATCH']);
  t.match(await createRecheck(world.admission)(await world.subject(agentId)), { outcome: 'valid' });
  world.time.now += 90 * DAY;
  t.same(await coldDenials(world, agentId), ['policyHashBinding POLICY_HASH_MISMATCH', 'proofExpiry PROOF_EXPIRED']);
  await tamper(world.database, "UPDATE signers SET state = 'revoked', revoked_at = now() WHERE signer_id = $1", [
    'proof-1',
  ]);
  t.match(await coldDenials(world, agentId), [/POLICY/, 'signerRevocation SIGNER_REVOKED', /EXPIRED/]);
});

t.test('a release renews a proof in common by one of its own', async (t) => {
  const world = await governance(t);
  const { ids, digest } = await sharedAgents(world);
  const [agentId = ''] = ids;
  await world.brakes.quarantine(WORKSPACE, agentId, 'odd', ADMIN);
  await world.activate(POLICIES.second);
  t.match(await world.release(WORKSPACE, agentId, 'looked into', ADMIN), { success: true });
  const { proof } = await world.subject(agentId);
  const { predicate } = JSON.parse(
    Buffer.from(String(Reflect.get(Object(proof?.envelope), 'payload')), 'base64').toString(),
  );
  t.match(predicate, { agentId, previousProof: digest });
});

t.test('is verified for the agent that is named', async (t) => {
  const world = await governance(t);
  const { ids, envelope: proof } = await sharedAgents(world);
  const [agentId = '', other = ''] = ids;
  const ask = (question: { spec?: unknown; agentId?: string }, onlyAgent?: string) =>
    world.verifyProof(WORKSPACE, { proof, ...question }, onlyAgent);
  t.same(await ask({ agentId }), { valid: true });
  t.same(await ask({ agentId, spec: SPEC }), { valid: true });
  t.same(await ask({ agentId, spec: { name: 'other' } }), { valid: false, reason: 'SPEC_HASH_MISMATCH' });
  t.same(await ask({}), { valid: false, reason: 'MALFORMED' }, 'it says not which is meant');
  t.same(await ask({ spec: SPEC }), { valid: false, reason: 'MALFORMED' }, 'both have that spec');
  t.same(await ask({ agentId: newId() }), { valid: false, reason: 'MALFORMED' });
  t.same(await ask({}, agentId), { valid: true }, 'an agent means itself');
  t.same(await ask({ agentId }, agentId), { valid: true });
  t.same(await ask({ agentId: other }, agentId), { valid: false, reason: 'MALFORMED' }, 'and nobody else');
  t.same(await world.verifyProof('other', { proof, agentId }), { valid: false, reason: 'MALFORMED' });
  const alone = (await world.subject(await governedAgent(world))).proof?.envelope;
  t.same(await world.verifyProof(WORKSPACE, { proof: alone, agentId }), { valid: false, reason: 'MALFORMED' });
});
