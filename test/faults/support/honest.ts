import type { Evidence } from '../check/evidence.ts';
import type { AgentFact, EventFact } from '../check/facts.ts';
import type { Call, Outcome } from './history.ts';

const POLICY = `sha256:${'a'.repeat(64)}`;
const NEWER = `sha256:${'b'.repeat(64)}`;
const SPEC_HASH = `sha256:${'c'.repeat(64)}`;
const BEGAN = Date.parse('2026-11-21T12:00:00.000Z');
const DAY_MS = 86_400_000;

type Draft = Pick<EventFact, 'chain' | 'type' | 'payload'> & { readonly traceId?: string };

const agent = (agentId: string) => ({ agentId, specVersion: 1, specHash: SPEC_HASH });
const expiresAt = new Date(BEGAN + DAY_MS).toISOString();

/** What a small run without any fault leaves: two workspaces, an agent that was started, one that was promoted, one denied. */
const EVENTS: readonly Draft[] = [
  { chain: '_system', type: 'signer.registered', payload: { signerId: 'audit-1' } },
  { chain: '_system', type: 'access.denied', payload: { code: 'NOT_FOUND', count: 1 }, traceId: 'foreign' },
  { chain: 'demo', type: 'workspace.created', payload: { workspaceId: 'demo' } },
  { chain: 'demo', type: 'policy.activated', payload: { policyHash: POLICY, version: 1 } },
  { chain: 'demo', type: 'agent.created', payload: { ...agent('one'), expiresAt }, traceId: 'create-one' },
  {
    chain: 'demo',
    type: 'agent.start.allowed',
    payload: { ...agent('one'), decisionId: 'd1', mode: 'sandbox', policyHash: POLICY },
    traceId: 'start-one',
  },
  { chain: 'demo', type: 'agent.created', payload: { ...agent('two'), expiresAt }, traceId: 'create-two' },
  {
    chain: 'demo',
    type: 'promotion.approved',
    payload: { ...agent('two'), promotionId: 'p1', decisionId: 'd2', policyHash: POLICY },
    traceId: 'promote-two',
  },
  {
    chain: 'demo',
    type: 'proof.issued',
    payload: { agentId: 'two', proofId: 'proof-1', promotionId: 'p1' },
    traceId: 'promote-two',
  },
  { chain: 'demo', type: 'policy.activated', payload: { policyHash: NEWER, version: 2 }, traceId: 'reload' },
  {
    chain: 'demo',
    type: 'revalidation.requested',
    payload: { revalidationId: 'r1', policyHash: NEWER },
    traceId: 'reload',
  },
  {
    chain: 'demo',
    type: 'agent.start.denied',
    payload: { agentId: 'two', decisionId: 'd3', mode: 'governed', specHash: SPEC_HASH, policyHash: NEWER, denies: [] },
    traceId: 'start-two',
  },
  { chain: 'demo', type: 'agent.quarantined', payload: { agentId: 'one', reason: 'odd' }, traceId: 'quarantine-one' },
  {
    chain: 'demo',
    type: 'proof.mass.renewed',
    payload: {
      revalidationId: 'r1',
      statementDigest: 'statement-1',
      agents: [{ agentId: 'two', proofId: 'proof-2', previousProofId: 'proof-1' }],
    },
  },
  { chain: 'other', type: 'workspace.created', payload: { workspaceId: 'other' } },
  { chain: 'other', type: 'policy.activated', payload: { policyHash: POLICY, version: 1 } },
  { chain: 'other', type: 'template.created', payload: { templateId: 't', version: 1, configHash: SPEC_HASH } },
  { chain: 'other', type: 'killswitch.engaged', payload: { scope: 'workspace' } },
];

function sealed(): EventFact[] {
  const last = new Map<string, number>();
  return EVENTS.map(({ traceId, ...draft }, index) => {
    const seq = (last.get(draft.chain) ?? 0) + 1;
    last.set(draft.chain, seq);
    const stamp = { seq, hash: `${draft.chain}-${seq}`, ts: BEGAN + index, actor: 'operator' };
    return { ...draft, ...stamp, traceId: traceId ?? null };
  });
}

type Answer = Extract<Outcome, { kind: 'answered' }>;

export function answered(status: number, more: Partial<Answer> = {}): Answer {
  return { kind: 'answered', status, replayed: false, retryAfter: false, leaks: [], ...more };
}

export function call(traceId: string, operation: Call['operation'], outcome: Outcome, more: Partial<Call> = {}): Call {
  const at = { instance: 'instance-1', who: 'operator', workspaceId: 'demo', sentAt: 1, endedAt: 2 };
  return { traceId, operation, outcome, ...at, ...more };
}

const receipt = (seq: number) => ({ chain: 'demo', seq, hash: `demo-${seq}` });
const admin = { who: 'kernel-admin' };

function told(): Call[] {
  return [
    call('create-one', 'createAgent', answered(201, { agentId: 'one' }), { key: 'k1' }),
    call('create-again', 'createAgent', answered(201, { agentId: 'one', replayed: true }), { key: 'k1' }),
    call('start-one', 'startAgent', answered(200, { agentId: 'one', decisionId: 'd1', receipt: receipt(4) })),
    call('create-two', 'createAgent', answered(201, { agentId: 'two' })),
    call(
      'promote-two',
      'promoteAgent',
      answered(200, { success: true, agentId: 'two', decisionId: 'd2', promotionId: 'p1' }),
      admin,
    ),
    call('reload', 'hotReloadPolicy', answered(200, { policyHash: NEWER, previousPolicyHash: POLICY }), admin),
    call('start-two', 'startAgent', answered(403, { code: 'ADMISSION_DENIED', decisionId: 'd3' })),
    call('quarantine-one', 'quarantineAgent', answered(200, { agentId: 'one', receipt: receipt(11) }), admin),
    call('foreign', 'startAgent', answered(404, { code: 'NOT_FOUND' }), { who: 'outsider', agentId: 'one' }),
    call('nothing', 'stopAgent', { kind: 'unknown', reason: 'ECONNRESET' }),
    call('away', 'stopAgent', answered(503, { code: 'DATABASE_UNAVAILABLE', retryAfter: true })),
    call('shown-1', 'getPolicySnapshot', answered(200, { policyHash: POLICY, revision: 1 }), {
      ...admin,
      sentAt: 1,
      endedAt: 2,
    }),
    call('shown-2', 'getPolicySnapshot', answered(200, { policyHash: NEWER, revision: 2 }), {
      ...admin,
      sentAt: 3,
      endedAt: 4,
    }),
  ];
}

const ROW: Omit<AgentFact, 'id' | 'status' | 'mode' | 'proofId' | 'quarantined'> = {
  workspaceId: 'demo',
  specVersion: 1,
  specHash: SPEC_HASH,
  invalidated: false,
};
const decision = { workspaceId: 'demo', policyHash: POLICY };

/** Evidence in which every invariant holds. */
export function honest(): Evidence {
  const sample = { instance: 'instance-1', droppedEvents: 0, queueDepth: 0, waitingForPool: 0, loopDelayMax: 0.1 };
  return {
    facts: {
      events: sealed(),
      heads: [
        { chain: '_system', seq: 2, hash: '_system-2' },
        { chain: 'demo', seq: 12, hash: 'demo-12' },
        { chain: 'other', seq: 4, hash: 'other-4' },
      ],
      workspaces: ['demo', 'other'],
      agents: [
        { ...ROW, id: 'one', mode: 'sandbox', status: 'quarantined', proofId: null, quarantined: true },
        { ...ROW, id: 'two', mode: 'governed', status: 'stopped', proofId: 'proof-2', quarantined: false },
      ],
      specs: [
        { workspaceId: 'demo', id: 'one', version: 1, specHash: SPEC_HASH },
        { workspaceId: 'demo', id: 'two', version: 1, specHash: SPEC_HASH },
      ],
      decisions: [
        { ...decision, id: 'd1', kind: 'start', agentId: 'one', effect: 'ALLOW', auditSeq: 4 },
        { ...decision, id: 'd2', kind: 'promotion', agentId: 'two', effect: 'ALLOW', auditSeq: 6 },
        { ...decision, id: 'd3', kind: 'start', agentId: 'two', effect: 'DENY', auditSeq: 10, policyHash: NEWER },
      ],
      promotions: [{ workspaceId: 'demo', id: 'p1', state: 'approved', requested: false }],
      approvals: [],
      proofs: [
        { workspaceId: 'demo', id: 'proof-1', policyHash: POLICY, specHash: SPEC_HASH },
        { workspaceId: 'demo', id: 'proof-2', policyHash: NEWER, specHash: SPEC_HASH },
      ],
      statements: [{ workspaceId: 'demo', id: 'statement-1' }],
      templates: [{ workspaceId: 'other', id: 't', version: 1, configHash: SPEC_HASH }],
      switches: [{ workspaceId: 'other', id: '' }],
      revalidations: [{ workspaceId: 'demo', id: 'r1', cause: 'hotreload' }],
      policies: [
        { workspaceId: 'demo', version: 1, hash: POLICY },
        { workspaceId: 'demo', version: 2, hash: NEWER },
        { workspaceId: 'other', version: 1, hash: POLICY },
      ],
      policyHeads: [
        { workspaceId: 'demo', hash: NEWER, activationSeq: 8 },
        { workspaceId: 'other', hash: POLICY, activationSeq: 2 },
      ],
      signers: [{ id: 'audit-1', revoked: false }],
      counts: [
        { workspaceId: 'demo', mode: 'sandbox', status: 'quarantined', n: 1 },
        { workspaceId: 'demo', mode: 'governed', status: 'stopped', n: 1 },
      ],
      directory: [
        { workspaceId: 'demo', id: 'one' },
        { workspaceId: 'demo', id: 'two' },
      ],
    },
    audit: { verdict: 'ok', findings: [] },
    calls: told(),
    samples: [
      { ...sample, moment: 'booted', residentBytes: 100e6, openFiles: 40 },
      { ...sample, moment: 'settled', residentBytes: 150e6, openFiles: 50 },
    ],
    logs: [{ instance: 'instance-1', text: '{"msg":"decision"}' }],
    ends: [{ instance: 'instance-1', expected: true, code: 0, signal: null }],
    secrets: [{ name: 'a password', value: 'hunter2' }],
    unlogged: [{ name: 'a reason', value: 'because of it' }],
  };
}
