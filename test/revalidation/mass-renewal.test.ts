import t from 'tap';

import { canonicalBytes } from '../../src/crypto/canonical-json.ts';
import { sha256Digest } from '../../src/crypto/digest.ts';
import { SignerError } from '../../src/crypto/signer.ts';
import { createRecheck } from '../../src/promotion/recheck.ts';
import { openProof, parseProofEnvelope, proofDigest } from '../../src/proofs/envelope.ts';
import { isShared, type SharedStatement } from '../../src/proofs/shared-statement.ts';
import { createRevalidationService } from '../../src/revalidation/service.ts';
import { WORKSPACE, type World, world } from './fixture.ts';

const CALLER = { actor: { id: 'admin', kind: 'human' as const } };
const WAIT = 20_000;

interface Mass {
  revalidationId: string;
  statementDigest: string;
  policyHash: string;
  signerId: string;
  expiresAt: string;
  agents: { agentId: string; proofId: string; previousProofId: string }[];
}

async function massEvents(w: World): Promise<Mass[]> {
  const { rows } = await w.database.query(
    "SELECT payload FROM audit_events WHERE event_type = 'proof.mass.renewed' ORDER BY seq",
  );
  return rows.map(({ payload }) => payload);
}

async function statements(w: World): Promise<Map<string, SharedStatement>> {
  const { rows } = await w.database.query('SELECT digest, envelope FROM proof_statements ORDER BY created_at, digest');
  return new Map(
    rows.map(({ digest, envelope }) => {
      const opened = openProof(parseProofEnvelope(envelope));
      if (!isShared(opened)) throw new Error('a stored statement over one agent');
      if (proofDigest(envelope) !== digest) throw new Error('a statement under another digest');
      return [digest, opened];
    }),
  );
}

async function proofs(w: World): Promise<Map<string, Record<string, unknown>>> {
  const { rows } = await w.database.query(
    `SELECT a.id AS agent, p.* FROM agents a
     JOIN agent_proofs p ON p.workspace_id = a.workspace_id AND p.id = a.proof_id`,
  );
  return new Map(rows.map((row) => [row.agent, row]));
}

t.test('pages of agents cost a statement and an event each, and every proof refers to its own', async (t) => {
  const w = await world(t);
  const ids = await w.agents(230);
  const before = await proofs(w);
  const policyHash = await w.activatePolicy('second');
  const service = createRevalidationService(w.options());
  const { revalidation } = await service.request(WORKSPACE, undefined, CALLER, WAIT);
  t.match(revalidation, { state: 'done', done: 230, invalidated: 0 });

  const [events, stored, current] = [await massEvents(w), await statements(w), await proofs(w)];
  t.same(
    events.map(({ agents }) => agents.length),
    [100, 100, 30],
  );
  t.same(await w.renewed(), ids);
  t.same(
    [...stored.keys()].sort(),
    events.map((event) => event.statementDigest).sort(),
    'one statement for each, and no other',
  );
  for (const { statementDigest, agents, ...event } of events) {
    const { subject, predicate } = stored.get(statementDigest) ?? {};
    t.match(event, {
      revalidationId: revalidation.id,
      policyHash,
      signerId: 'proof-1',
      expiresAt: predicate?.expiresAt,
    });
    t.same(
      subject?.map(({ name }) => name),
      agents.map(({ agentId }) => agentId),
    );
    for (const [index, { agentId, proofId, previousProofId }] of agents.entries()) {
      const [row, old] = [current.get(agentId), before.get(agentId)];
      const same =
        row?.['id'] === proofId &&
        row['previous_proof'] === previousProofId &&
        old?.['id'] === previousProofId &&
        row['policy_hash'] === policyHash &&
        JSON.stringify(row['envelope']) === JSON.stringify({ statement: statementDigest }) &&
        predicate?.subjects[index]?.previousProof === proofDigest(parseProofEnvelope(old['envelope']));
      if (!same) t.fail(`the proof of ${agentId} is not what the event says`, { row, old });
    }
  }

  await w.activatePolicy('third');
  await service.request(WORKSPACE, undefined, CALLER, WAIT);
  const later = await statements(w);
  t.equal(later.size, 6);
  const previous = [...later].filter(([digest]) => !stored.has(digest)).flatMap(([, one]) => one.predicate.subjects);
  const referred = new Map(
    events.flatMap((event) => event.agents.map(({ agentId }) => [agentId, event.statementDigest])),
  );
  t.same(
    previous.map(({ agentId, previousProof }) => [agentId, previousProof]).sort(),
    [...referred].sort(),
    'the proof before is the statement that was shared',
  );
});

t.test('an agent that changes before the commit is not renewed by what names it', async (t) => {
  const w = await world(t);
  const ids = await w.agents(5);
  const [changed = ''] = ids;
  await w.activatePolicy('second');
  const options = w.options();
  let signed = 0;
  const service = createRevalidationService({
    ...options,
    renew: async (...question) => {
      const renewals = await options.renew(...question);
      signed += 1;
      if (signed === 1) await w.database.query("UPDATE agents SET name = 'changed' WHERE id = $1", [changed]);
      return renewals;
    },
  });
  const { revalidation } = await service.request(WORKSPACE, undefined, CALLER, WAIT);
  t.match(revalidation, { state: 'done', done: 5 });
  const [shared, ...more] = await massEvents(w);
  t.same(more, []);
  t.same(
    shared?.agents.map(({ agentId }) => agentId),
    ids.slice(1),
  );
  const [statement] = (await statements(w)).values();
  t.ok(
    statement?.subject.some(({ name }) => name === changed),
    'the statement still names it',
  );
  const [alone] = await w.events('proof.renewed');
  t.equal(alone?.payload['agentId'], changed, 'and it has a proof of its own, made after the change');
  const row = (await proofs(w)).get(changed);
  t.equal(row?.['id'], alone?.payload['proofId']);
  t.match(row?.['envelope'], { payloadType: 'application/vnd.in-toto+json' });
});

t.test('a statement that became nobody’s proof is not stored', async (t) => {
  const w = await world(t);
  const ids = await w.agents(3);
  await w.activatePolicy('second');
  const options = w.options();
  let signed = 0;
  const service = createRevalidationService({
    ...options,
    renew: async (...question) => {
      const renewals = await options.renew(...question);
      signed += 1;
      if (signed === 1) await w.database.query("UPDATE agents SET name = 'changed' WHERE id = ANY($1)", [ids]);
      return renewals;
    },
  });
  t.match(await service.request(WORKSPACE, undefined, CALLER, WAIT), { revalidation: { state: 'done', done: 3 } });
  t.equal(signed, 2);
  t.same([...(await statements(w)).keys()], [(await massEvents(w))[0]?.statementDigest]);
});

t.test('statements stay within their size, whatever the agents bring', async (t) => {
  const w = await world(t);
  await w.agents(60);
  await w.activatePolicy('second');
  const recheck = createRecheck(w.admission);
  const roles = Array.from({ length: 32 }, (_, n) => `${n}`.padEnd(64, 'é'));
  const service = createRevalidationService(
    w.options({
      recheck: async (subject) => {
        const outcome = await recheck(subject);
        if (outcome.outcome !== 'valid') return outcome;
        const { predicate } = outcome.statement;
        const promoter = { id: 'p'.repeat(512), roles };
        return { ...outcome, statement: { ...outcome.statement, predicate: { ...predicate, promoter } } };
      },
    }),
  );
  t.match(await service.request(WORKSPACE, undefined, CALLER, WAIT), { revalidation: { state: 'done', done: 60 } });
  const { rows } = await w.database.query(
    `SELECT max(octet_length(envelope::text)) AS largest, count(*)::int AS n FROM proof_statements`,
  );
  t.ok(rows[0].largest <= 65_536 + 300, `${rows[0].largest} bytes`);
  t.ok(rows[0].n > 1, `${rows[0].n} statements`);
  t.equal((await w.renewed()).length, 60);
});

t.test('the event of the smallest agents that fit in a statement fits in the log', async (t) => {
  // 48 KiB over the least that an agent takes: its subject, its members with one letter as promoter, and its previous proof.
  const id = '0190b8f4-7c00-7000-8000-000000000001';
  const own = { agentId: id, approvals: [], previousProof: sha256Digest(''), promoter: { id: 'a', roles: [] } };
  const least = canonicalBytes([
    { ...own, promotionId: id, specVersion: 1 },
    { digest: { sha256: '0'.repeat(64) }, name: id },
  ]);
  const agents = Array.from({ length: Math.ceil(49_152 / least.length) }, () => ({
    agentId: id,
    proofId: id,
    previousProofId: id,
  }));
  t.ok(canonicalBytes(agents).length < 40_000, `${agents.length} agents`);
});

t.test('a key that signs only little at once signs more statements', async (t) => {
  const w = await world(t, { proofSignerMaxBytes: 4096 });
  await w.agents(20);
  await w.activatePolicy('second');
  const service = createRevalidationService(w.options());
  t.match(await service.request(WORKSPACE, undefined, CALLER, WAIT), { revalidation: { state: 'done', done: 20 } });
  const events = await massEvents(w);
  t.ok(events.length >= 3 && events.every(({ agents }) => agents.length > 1), `${events.length} statements`);
  const { rows } = await w.database.query(
    `SELECT max(octet_length(decode(envelope ->> 'payload', 'base64'))) AS largest FROM proof_statements`,
  );
  t.ok(rows[0].largest < 4096 - 100, `${rows[0].largest} bytes`);
});

t.test('the proof signer away is no failure of an agent', async (t) => {
  const w = await world(t);
  await w.agents(3);
  await w.activatePolicy('second');
  w.trouble.proofSigner = new SignerError('the key is disabled');
  const service = createRevalidationService(w.options());
  const paused = await service.request(WORKSPACE, undefined, CALLER, WAIT);
  t.match(paused.revalidation, { state: 'running', done: 0, invalidated: 0 });
  w.trouble.proofSigner = undefined;
  w.now.ms += 6000;
  await service.resume(AbortSignal.timeout(WAIT));
  t.equal((await w.renewed()).length, 3);
});

t.test('agents whose shared proof’s signer is revoked are invalidated, all of them', async (t) => {
  const w = await world(t);
  const ids = await w.agents(3);
  await w.activatePolicy('second');
  const service = createRevalidationService(w.options());
  await service.request(WORKSPACE, undefined, CALLER, WAIT);
  await w.database.query("UPDATE signers SET state = 'revoked', revoked_at = now() WHERE signer_id = 'proof-1'");
  const { results } = await service.request(WORKSPACE, undefined, CALLER, WAIT);
  t.match(
    results,
    ids.map((agentId) => ({ agentId, status: 'GOVERNED_INVALIDATED', denies: [{ code: 'SIGNER_REVOKED' }] })),
  );
});
