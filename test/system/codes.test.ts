import t, { type Test } from 'tap';
import { RUNTIME_CONFLICT, RUNTIME_ENDLESS, reload, runtimeDenying } from './support/policies.ts';
import { DAY, MINUTE, openWorld, SPEC, type World } from './support/world.ts';

interface Denial {
  readonly code: string;
  readonly severity: 'DENY' | 'RESTRICT';
  readonly check: string;
  /** Codes of the denials that an invalidation was made for. */
  readonly cause?: readonly string[];
}

interface StartCase {
  readonly why: string;
  /** Brings an agent of the workspace into the state; gives its id. */
  readonly arrange: (world: World, workspaceId: string) => Promise<string>;
  /** Code of the problem. */
  readonly code?: string;
  readonly denies: readonly Denial[];
  /** Where a busy machine decides which of two limits is met first. */
  readonly orDenies?: readonly Denial[];
  /** Afterwards, as GET …/governance tells it. */
  readonly governance: string;
}

const deny = (code: string, check: string): Denial => ({ code, severity: 'DENY', check });
const CONTAINMENT = deny('CONTAINMENT_VIOLATION', 'sandboxContainment');
const SPEC_HASH = deny('SPEC_HASH_MISMATCH', 'specHash');
const SIGNATURE = deny('SIGNATURE_INVALID', 'signature');
const POLICY_HASH: Denial = { code: 'POLICY_HASH_MISMATCH', severity: 'RESTRICT', check: 'policyHashBinding' };
const QUARANTINED = deny('AGENT_QUARANTINED', 'quarantine');

const EDIT_SPEC = `UPDATE agent_specs SET spec = jsonb_set(spec, '{instructions}', '"Do as you like."') WHERE agent_id = $1`;
// The first character only: the last one holds padding bits, and an edit there makes the whole proof unreadable.
const EDIT_SIGNATURE = `UPDATE agent_proofs SET envelope = jsonb_set(envelope, '{signatures,0,sig}',
  to_jsonb(overlay(envelope->'signatures'->0->>'sig' PLACING
    CASE left(envelope->'signatures'->0->>'sig', 1) WHEN 'A' THEN 'B' ELSE 'A' END FROM 1 FOR 1)))
  WHERE agent_id = $1`;

async function governedAnd(world: World, workspaceId: string, sql: string): Promise<string> {
  const agentId = await world.governedAgent(workspaceId);
  await world.sql(sql, [agentId]);
  return agentId;
}

async function sandboxAnd(world: World, workspaceId: string, body: object): Promise<string> {
  const agentId = await world.sandboxAgent(workspaceId);
  await hotReload(world, workspaceId, body);
  return agentId;
}

async function hotReload(world: World, workspaceId: string, body: object) {
  return world.expect(200, 'kernel-admin', 'POST', `/v1/workspaces/${workspaceId}/policy/hotreload`, body);
}

const startCases: readonly StartCase[] = [
  {
    why: 'a sandbox agent past its time',
    arrange: async (world, workspaceId) => {
      const agentId = await world.sandboxAgent(workspaceId, SPEC, 60);
      world.pass(MINUTE + 1);
      return agentId;
    },
    denies: [deny('SANDBOX_EXPIRED', 'sandboxExpiry')],
    governance: 'SANDBOX',
  },
  {
    why: 'a sandbox agent that asks for external calls',
    arrange: (world, workspaceId) => world.sandboxAgent(workspaceId, { ...SPEC, containment: { externalCalls: true } }),
    denies: [CONTAINMENT],
    governance: 'SANDBOX',
  },
  {
    why: 'a sandbox agent that asks for persistent writes',
    arrange: (world, workspaceId) =>
      world.sandboxAgent(workspaceId, { ...SPEC, containment: { persistentWrites: true } }),
    denies: [CONTAINMENT],
    governance: 'SANDBOX',
  },
  {
    why: 'a sandbox agent whose JSON column was edited',
    arrange: async (world, workspaceId) => {
      const agentId = await world.sandboxAgent(workspaceId);
      const sql = `UPDATE agent_specs SET spec = spec || '{"containment": {"externalCalls": true}}' WHERE agent_id = $1`;
      await world.sql(sql, [agentId]);
      return agentId;
    },
    denies: [CONTAINMENT],
    governance: 'SANDBOX',
  },
  {
    why: 'a governed agent put back into the sandbox by hand',
    arrange: (world, workspaceId) =>
      governedAnd(world, workspaceId, `UPDATE agents SET mode = 'sandbox', expires_at = NULL WHERE id = $1`),
    denies: [deny('SANDBOX_EXPIRED', 'sandboxExpiry'), deny('PROOF_MISSING', 'proofPresence')],
    governance: 'SANDBOX',
  },
  {
    why: 'a sandbox agent whose time of expiry was made endless by hand: a check that cannot read it fails closed',
    arrange: async (world, workspaceId) => {
      const agentId = await world.sandboxAgent(workspaceId);
      await world.sql(`UPDATE agents SET expires_at = 'infinity' WHERE id = $1`, [agentId]);
      return agentId;
    },
    denies: [deny('INTERCEPTOR_ERROR', 'sandboxExpiry')],
    governance: 'SANDBOX',
  },
  {
    why: 'a governed agent put back into the sandbox by hand, with time left',
    arrange: (world, workspaceId) =>
      governedAnd(
        world,
        workspaceId,
        `UPDATE agents SET mode = 'sandbox', expires_at = now() + interval '10 years', proof_id = NULL WHERE id = $1`,
      ),
    denies: [deny('PROOF_MISSING', 'proofPresence')],
    governance: 'SANDBOX',
  },
  {
    why: 'a governed agent without a proof',
    arrange: (world, workspaceId) => governedAnd(world, workspaceId, 'UPDATE agents SET proof_id = NULL WHERE id = $1'),
    denies: [deny('PROOF_MISSING', 'proofPresence')],
    governance: 'GOVERNED_INVALIDATED',
  },
  {
    why: 'a governed agent whose spec was edited',
    arrange: (world, workspaceId) => governedAnd(world, workspaceId, EDIT_SPEC),
    denies: [SPEC_HASH],
    governance: 'GOVERNED_VALID',
  },
  {
    why: 'a proof of an older policy',
    arrange: async (world, workspaceId) => {
      const agentId = await world.governedAgent(workspaceId);
      await hotReload(world, workspaceId, reload({ revalidate: false }));
      return agentId;
    },
    denies: [POLICY_HASH],
    governance: 'GOVERNED_RESTRICTED',
  },
  {
    why: 'a proof whose signature was edited',
    arrange: (world, workspaceId) => governedAnd(world, workspaceId, EDIT_SIGNATURE),
    denies: [SIGNATURE],
    governance: 'GOVERNED_VALID',
  },
  {
    why: 'a runtime policy that contradicts itself',
    arrange: (world, workspaceId) => sandboxAnd(world, workspaceId, reload({ runtime: RUNTIME_CONFLICT })),
    denies: [deny('INTERCEPTOR_ERROR', 'castellan.runtime')],
    governance: 'SANDBOX',
  },
  {
    why: 'a runtime policy that takes too long',
    arrange: (world, workspaceId) => sandboxAnd(world, workspaceId, reload({ runtime: RUNTIME_ENDLESS })),
    denies: [deny('INTERCEPTOR_ERROR', 'castellan.runtime')],
    orDenies: [deny('INTERCEPTOR_ERROR', 'runtimePolicy')],
    governance: 'SANDBOX',
  },
  {
    why: 'a runtime policy that refuses with its own codes',
    arrange: (world, workspaceId) =>
      sandboxAnd(world, workspaceId, reload({ runtime: runtimeDenying('OUT_OF_HOURS', 'ON_HOLIDAY') })),
    denies: [deny('ON_HOLIDAY', 'castellan.runtime'), deny('OUT_OF_HOURS', 'castellan.runtime')],
    governance: 'SANDBOX',
  },
  {
    why: 'a quarantined agent',
    arrange: async (world, workspaceId) => {
      const agentId = await world.sandboxAgent(workspaceId);
      const path = `/v1/workspaces/${workspaceId}/agents/${agentId}/quarantine`;
      await world.expect(200, 'kernel-admin', 'POST', path, { reason: 'it behaved oddly' });
      return agentId;
    },
    code: 'AGENT_QUARANTINED',
    denies: [QUARANTINED],
    governance: 'SANDBOX',
  },
  {
    why: 'an agent that a stricter policy invalidated',
    arrange: async (world, workspaceId) => {
      const agentId = await world.governedAgent(workspaceId);
      await hotReload(world, workspaceId, reload({ monthlyUsd: 1 }));
      return agentId;
    },
    code: 'AGENT_QUARANTINED',
    denies: [POLICY_HASH, { ...QUARANTINED, cause: ['BUDGET_EXCEEDED'] }],
    governance: 'GOVERNED_INVALIDATED',
  },
  {
    why: 'a proof that ran out',
    arrange: async (world, workspaceId) => {
      const agentId = await world.governedAgent(workspaceId);
      world.pass(91 * DAY);
      return agentId;
    },
    denies: [deny('PROOF_EXPIRED', 'proofExpiry')],
    governance: 'GOVERNED_VALID',
  },
  {
    why: 'everything at once, in the order of the chain',
    arrange: async (world, workspaceId) => {
      const agentId = await world.governedAgent(workspaceId);
      await world.sql(EDIT_SPEC, [agentId]);
      await world.sql(EDIT_SIGNATURE, [agentId]);
      await hotReload(world, workspaceId, reload({ revalidate: false, runtime: runtimeDenying('ON_HOLIDAY') }));
      const path = `/v1/workspaces/${workspaceId}/agents/${agentId}/quarantine`;
      await world.expect(200, 'kernel-admin', 'POST', path, { reason: 'enough' });
      return agentId;
    },
    code: 'AGENT_QUARANTINED',
    denies: [SPEC_HASH, POLICY_HASH, SIGNATURE, QUARANTINED, deny('ON_HOLIDAY', 'castellan.runtime')],
    governance: 'GOVERNED_RESTRICTED',
  },
];

/** Ends the trust in every proof of its service. */
const revokedSigner: StartCase = {
  why: 'a proof of a signer that was revoked since',
  arrange: async (world, workspaceId) => {
    const agentId = await world.governedAgent(workspaceId);
    // Not through the API, which has every such agent invalidated at once: this is the moment before that.
    await world.sql(`UPDATE signers SET state = 'revoked', revoked_at = now() WHERE signer_id = 'proof-1'`);
    return agentId;
  },
  denies: [deny('SIGNER_REVOKED', 'signerRevocation')],
  governance: 'GOVERNED_VALID',
};

const LABELS = new Set(['ON_HOLIDAY', 'OUT_OF_HOURS']);

t.test('a denied start says why, everywhere in the same words', async (t) => {
  const world = await openWorld(t);
  for (const one of startCases) await t.test(one.why, (t) => checkStart(t, world, one));
});

t.test('so does the start under a revoked signer', async (t) => checkStart(t, await openWorld(t), revokedSigner));

async function checkStart(t: Test, world: World, one: StartCase): Promise<void> {
  const workspaceId = await world.workspace();
  const agentId = await one.arrange(world, workspaceId);
  const base = `/v1/workspaces/${workspaceId}`;
  const agent = `${base}/agents/${agentId}`;
  const first = one.denies[0]?.code ?? '';
  const line = `castellan_agent_starts_denied_total{reason="${LABELS.has(first) ? 'OTHER' : first}"}`;
  const denied = await world.metric(line);
  const allowed = await world.metric('castellan_agent_starts_allowed_total');

  const { events, result } = await world.eventsOf(() =>
    world.changesOf(() => world.call('kernel-admin', 'POST', `${agent}/start`)),
  );
  const { result: answer, changed } = result;

  t.equal(answer.status, 403, answer.text);
  t.match(answer.headers['content-type'], /^application\/problem\+json/);
  const { code = 'ADMISSION_DENIED' } = one;
  t.match(answer.body, { type: `https://castellan.dev/problems/${slug(code)}`, code, status: 403 });
  t.equal(answer.body.instance, answer.headers['x-request-id']);
  const isOther = one.orDenies !== undefined && answer.body.denies[0]?.check === one.orDenies[0]?.check;
  t.same(shapes(answer.body.denies), isOther ? one.orDenies : one.denies, 'flat and in chain order');

  t.same(changed, ['decisions'], 'nothing else changed');
  t.equal(events.length, 1);
  const [event] = events;
  t.match(event, { chain: workspaceId, type: 'agent.start.denied', actor: 'kernel-admin' });
  const { decisionId } = answer.body;
  t.match(event?.payload, { agentId, decisionId, denies: answer.body.denies.map(flat) });
  t.same(answer.body.auditEvent.seq, event?.seq, 'the receipt names the event');

  const listed = (await world.expect(200, 'auditor', 'GET', `${base}/audit/events?type=agent.start.denied`)).body;
  t.same(listed.events.at(-1)?.payload, event?.payload);
  const { decisions } = (
    await world.expect(200, 'auditor', 'GET', `${base}/decisions?agentId=${agentId}&code=${first}`)
  ).body;
  t.match(decisions.at(-1), {
    decisionId,
    kind: 'start',
    action: 'agent.start',
    effect: 'DENY',
    decision: 'deny',
    tier: 3,
    actor: { id: 'kernel-admin', kind: 'human' },
    auditSeq: event?.seq,
  });
  t.same(decisions.at(-1)?.reasons, answer.body.denies);
  t.same((await world.expect(200, 'auditor', 'GET', `${base}/decisions/${decisionId}`)).body, decisions.at(-1));

  t.equal(await world.metric(line), denied + 1, 'once per denied start, with the first code');
  t.equal(await world.metric('castellan_agent_starts_allowed_total'), allowed);
  const { governance } = (await world.expect(200, 'kernel-admin', 'GET', `${agent}/governance`)).body;
  t.equal(governance.status, one.governance);
}

t.test('a restricted agent is intact: a revalidation that passes lets it start', async (t) => {
  const world = await openWorld(t);
  const agentId = await world.governedAgent('demo');
  const agent = `/v1/workspaces/demo/agents/${agentId}`;
  const reloaded = await hotReload(world, 'demo', reload({ revalidate: false }));
  t.match(reloaded.body, { revalidated: 0, revalidation: { id: null, state: 'done', total: 0, invalidated: 0 } });
  await world.expect(403, 'operator', 'POST', `${agent}/start`);
  const { body } = await world.expect(200, 'kernel-admin', 'POST', '/v1/workspaces/demo/policy/revalidate');
  t.same(body.results, [{ agentId, status: 'GOVERNED_VALID' }]);
  t.match((await world.expect(200, 'operator', 'POST', `${agent}/start`)).body, { success: true, status: 'running' });
});

interface PromotionCase {
  readonly why: string;
  readonly who?: string;
  readonly spec: object;
  /** In the order of the policy's answer. */
  readonly codes: readonly string[];
}

const { instructions: _instructions, ...incomplete } = SPEC;
const promotionCases: readonly PromotionCase[] = [
  { why: 'an operator', who: 'operator', spec: SPEC, codes: ['PERMISSION_DENIED'] },
  { why: 'no instructions', spec: incomplete, codes: ['ANATOMY_INCOMPLETE'] },
  {
    why: 'external calls',
    spec: { ...SPEC, containment: { externalCalls: true } },
    codes: ['CONTAINMENT_VIOLATION'],
  },
  {
    why: 'an unknown capability',
    spec: { ...SPEC, capabilities: ['search', 'launch'] },
    codes: ['INVALID_CAPABILITIES'],
  },
  {
    why: 'hotter than an admin may',
    spec: { ...SPEC, model: { ...SPEC.model, temperature: 1.1 } },
    codes: ['TEMPERATURE_VIOLATION'],
  },
  { why: 'too dear', spec: { ...SPEC, budget: { monthlyUsd: 1000.01 } }, codes: ['BUDGET_EXCEEDED'] },
  {
    why: 'everything at once',
    who: 'orchestrator',
    spec: {
      name: 'greedy',
      model: { provider: 'example', name: 'writer-1', temperature: 2 },
      capabilities: ['launch'],
      containment: { persistentWrites: true },
      budget: { monthlyUsd: 1e6 },
    },
    codes: [
      'ANATOMY_INCOMPLETE',
      'BUDGET_EXCEEDED',
      'CONTAINMENT_VIOLATION',
      'INVALID_CAPABILITIES',
      'PERMISSION_DENIED',
      'TEMPERATURE_VIOLATION',
    ],
  },
];

t.test('a denied promotion is an answer, and leaves the agent as it was', async (t) => {
  const world = await openWorld(t);
  const base = '/v1/workspaces/demo';
  for (const { why, who = 'kernel-admin', spec, codes } of promotionCases) {
    await t.test(why, async (t) => {
      const agentId = await world.sandboxAgent('demo', spec);
      const line = `castellan_promotion_denies_total{reason="${codes[0]}"}`;
      const denied = await world.metric(line);
      const attempts = await world.metric('castellan_promotion_attempts_total');

      const { events, result } = await world.eventsOf(() =>
        world.changesOf(() =>
          world.call(who, 'POST', `${base}/agents/${agentId}/promote`, { justification: 'please' }),
        ),
      );
      const { result: answer, changed } = result;

      t.equal(answer.status, 200, answer.text);
      t.same(Object.keys(answer.body), ['success', 'promotionId', 'decisionId', 'denies']);
      t.equal(answer.body.success, false);
      t.same(
        shapes(answer.body.denies),
        codes.map((code) => deny(code, 'castellan.promotion')),
      );
      t.same(changed, ['decisions', 'promotions'], 'nothing else changed');

      const { promotionId, decisionId, denies } = answer.body;
      t.equal(events.length, 1);
      t.match(events[0], { chain: 'demo', type: 'promotion.denied', actor: who });
      t.match(events[0]?.payload, { agentId, promotionId, decisionId, denies });
      const decision = (await world.expect(200, 'operator', 'GET', `${base}/decisions/${decisionId}`)).body;
      t.match(decision, { kind: 'promotion', effect: 'DENY', tier: 3, reasons: denies, auditSeq: events[0]?.seq });
      const promotion = (await world.expect(200, 'operator', 'GET', `${base}/promotions/${promotionId}`)).body;
      t.match(promotion, { agentId, state: 'denied', denies, decisionId, proofId: null, justification: 'please' });
      t.equal(await world.metric(line), denied + 1);
      t.equal(await world.metric('castellan_promotion_attempts_total'), attempts + 1);
    });
  }
});

t.test('an agent that may not even start may not be promoted', async (t) => {
  const world = await openWorld(t);
  const agentId = await world.sandboxAgent('demo', SPEC, 60);
  world.pass(MINUTE + 1);
  const line = 'castellan_promotion_denies_total{reason="SANDBOX_EXPIRED"}';
  const { events, result } = await world.eventsOf(() =>
    world.changesOf(() => world.call('kernel-admin', 'POST', `/v1/workspaces/demo/agents/${agentId}/promote`)),
  );
  t.equal(result.result.status, 403, result.result.text);
  t.same(shapes(result.result.body.denies), [deny('SANDBOX_EXPIRED', 'sandboxExpiry')]);
  t.same(result.changed, ['decisions', 'promotions']);
  t.same(
    events.map(({ type }) => type),
    ['promotion.denied'],
  );
  t.equal(await world.metric(line), 1);
});

function shapes(denies: readonly Record<string, unknown>[]) {
  return denies.map(({ code, reason, severity, check, cause, ...rest }) => {
    const causes = Array.isArray(cause) ? { cause: cause.map((one) => one.code) } : {};
    const told = typeof reason === 'string' && reason !== '' ? {} : { reason: 'there is none' };
    return { code, severity, check, ...causes, ...told, ...rest };
  });
}

function flat({ code, reason, severity, check }: Record<string, unknown>) {
  return { code, reason, severity, check };
}

function slug(code: string): string {
  return code.toLowerCase().replaceAll('_', '-');
}
