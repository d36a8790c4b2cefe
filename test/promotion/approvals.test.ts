import t from 'tap';

import type { Caller } from '../../src/agents/caller.ts';
import { newId } from '../../src/ids.ts';
import { createBatchPromotion } from '../../src/promotion/batch-action.ts';
import { lapseDue } from '../../src/promotion/lapse.ts';
import { PENDING_MS } from '../../src/promotion/pending.ts';
import {
  ADMIN,
  DAY,
  denial,
  type Governance,
  governance,
  OPERATOR,
  POLICIES,
  SPEC,
  type Teardown,
  tamper,
  WORKSPACE,
} from '../admission/fixture.ts';
import { COMMITMENT } from '../support/personal.ts';

const BEA: Caller = { id: 'bea', kind: 'human', roles: ['kernel-approver'], traceId: 'c'.repeat(32) };
const CARL: Caller = { id: 'carl', kind: 'human', roles: ['kernel-approver'], traceId: 'd'.repeat(32) };
const EVENTS = [
  'promotion.requested',
  'promotion.approval.given',
  'promotion.rejected',
  'promotion.lapsed',
  'promotion.approved',
  'promotion.denied',
  'proof.issued',
];

async function world(t: Teardown, settings: { approvalsRequired?: number; reapproveOnPolicyChange?: boolean } = {}) {
  const made = await governance(t);
  await made.workspaceSettings.patch(WORKSPACE, { approvalsRequired: 1, ...settings }, () => undefined, ADMIN);
  return made;
}

async function pending(
  { promote, sandboxAgent }: Governance,
  options: { caller?: Caller; ttl?: number; justification?: string } = {},
) {
  const { caller = OPERATOR, ttl = (30 * DAY) / 1000, justification } = options;
  const agentId = await sandboxAgent(SPEC, ttl);
  const said = justification === undefined ? {} : { justification };
  const asked = await promote(WORKSPACE, agentId, said, caller);
  if (!('state' in asked)) throw new Error(`not pending: ${JSON.stringify(asked)}`);
  return asked;
}

const types = async ({ events }: Governance) => (await events(EVENTS)).map(({ event_type: type }) => type);
const promotionRow = ({ row }: Governance, id: string) => row('SELECT * FROM promotions WHERE id = $1', [id]);

t.test('an operator asks, an approver decides, and the proof says so', async (t) => {
  const w = await world(t);
  const { agentId, promotionId, decisionId, ...asked } = await pending(w, { justification: 'it is ready' });
  t.match(asked, { state: 'pending', approvals: 0, approvalsRequired: 1, expiresAt: String });
  t.equal(Date.parse(asked.expiresAt), w.time.now + PENDING_MS);
  const { asked: questions } = w.policy;
  t.match(questions.at(-1)?.input, { actor: { id: 'olga', roles: ['operator'] }, stage: 'request', mode: 'promote' });
  t.notOk(Object.hasOwn(Object(questions.at(-1)?.input), 'approval'));
  t.match(await w.row('SELECT * FROM decisions WHERE id = $1', [decisionId]), {
    kind: 'promotion',
    effect: 'REQUIRE_APPROVAL',
    tier: 2,
    codes: [],
    actor_id: 'olga',
  });
  t.match(await w.row('SELECT mode, proof_id FROM agents WHERE id = $1', [agentId]), {
    mode: 'sandbox',
    proof_id: null,
  });

  const result = await w.decisions.approve(WORKSPACE, promotionId, 'looked at it', BEA);
  if (!('proof' in result)) throw new Error('not approved');
  t.match(result, {
    success: true,
    state: 'approved',
    governedAgent: { id: agentId, mode: 'governed', expiresAt: null },
  });
  const { predicate } = JSON.parse(Buffer.from(result.proof.payload, 'base64').toString('utf8'));
  const approval = {
    id: 'bea',
    roles: ['kernel-approver'],
    policyHash: POLICIES.first,
    approvedAt: new Date(w.time.now).toISOString(),
  };
  t.same(predicate.promoter, { id: 'bea', roles: ['kernel-approver'] });
  t.same(predicate.approvals, [approval]);
  t.match(questions.at(-1)?.input, {
    actor: { id: 'bea', kind: 'human', roles: ['kernel-approver'] },
    mode: 'promote',
    agent: { mode: 'sandbox' },
    justification: 'it is ready',
  });
  t.same(Object(questions.at(-1)?.input).approval, approval);
  t.notOk(Object.hasOwn(Object(questions.at(-1)?.input), 'stage'));
  t.match(await w.events(EVENTS), [
    { event_type: 'promotion.requested', payload: { agentId, promotionId, decisionId, approvalsRequired: 1 } },
    { event_type: 'promotion.approval.given', payload: { approvals: 1, approvalsRequired: 1, reason: COMMITMENT } },
    { event_type: 'promotion.approved', payload: { promotionId, decisionId: result.decisionId } },
    { event_type: 'proof.issued', payload: { promotionId } },
  ]);
  t.match(await promotionRow(w, promotionId), {
    state: 'approved',
    decision_id: result.decisionId,
    request_decision_id: decisionId,
    requested_by: { id: 'olga' },
  });
  t.match(await w.row('SELECT * FROM decisions WHERE id = $1', [result.decisionId]), {
    effect: 'ALLOW',
    actor_id: 'bea',
  });
  t.match(await w.start(WORKSPACE, agentId, {}, OPERATOR), { success: true });

  await t.test('a revalidation asks about the same promoter and the same approval', async (t) => {
    t.match(await w.recheck(await w.subject(agentId)), { outcome: 'valid' });
    const again = Object(questions.at(-1)?.input);
    t.match(again, { mode: 'revalidate', actor: { id: 'bea', roles: ['kernel-approver'] } });
    t.same(again.approval, approval);
  });
  await t.rejects(w.decisions.approve(WORKSPACE, promotionId, undefined, CARL), { code: 'PROMOTION_DECIDED' });
  await t.rejects(w.decisions.reject(WORKSPACE, promotionId, 'late', CARL), { code: 'PROMOTION_DECIDED' });
});

t.test('two approvals: of two others, each once, the last as promoter', async (t) => {
  const w = await world(t, { approvalsRequired: 2 });
  const { promotionId } = await pending(w);
  const { decisions } = w;
  const asked = w.policy.asked.length;
  t.match(await decisions.approve(WORKSPACE, promotionId, undefined, BEA), {
    state: 'pending',
    approvals: 1,
    approvalsRequired: 2,
  });
  t.equal(w.policy.asked.length, asked, 'only the last one has the policy decide');
  await t.rejects(decisions.approve(WORKSPACE, promotionId, undefined, BEA), { code: 'APPROVAL_GIVEN' });
  await t.rejects(decisions.approve(WORKSPACE, promotionId, undefined, { ...BEA, roles: ['kernel-admin'] }), {
    code: 'APPROVAL_GIVEN',
  });
  const result = await decisions.approve(WORKSPACE, promotionId, undefined, CARL);
  if (!('proof' in result)) throw new Error('not approved');
  const { predicate } = JSON.parse(Buffer.from(result.proof.payload, 'base64').toString('utf8'));
  t.equal(predicate.promoter.id, 'carl');
  t.same(
    predicate.approvals.map(({ id }: { id: string }) => id),
    ['bea', 'carl'],
  );
});

t.test('nobody decides what they asked for, an admin neither', async (t) => {
  const w = await world(t);
  const { promotionId } = await pending(w, { caller: ADMIN });
  await t.rejects(w.decisions.approve(WORKSPACE, promotionId, undefined, ADMIN), { code: 'PERMISSION_DENIED' });
  await t.rejects(w.decisions.reject(WORKSPACE, promotionId, 'mine', ADMIN), { code: 'PERMISSION_DENIED' });
  t.match(await promotionRow(w, promotionId), { state: 'pending' });
  t.match(await w.decisions.approve(WORKSPACE, promotionId, undefined, BEA), { success: true });
});

t.test('at the request the role of whoever asks counts for nothing, everything else does', async (t) => {
  const w = await world(t);
  w.policy.answers.set('*', denial('PERMISSION_DENIED'));
  const { promotionId } = await pending(w);
  t.match(
    await w.decisions.approve(WORKSPACE, promotionId, undefined, BEA),
    { success: false, state: 'denied', denies: [{ code: 'PERMISSION_DENIED' }] },
    'of the approver it counts',
  );
  t.match(await promotionRow(w, promotionId), { state: 'denied', proof_id: null });
  t.same(await types(w), ['promotion.requested', 'promotion.approval.given', 'promotion.denied']);

  w.policy.answers.set('*', denial('PERMISSION_DENIED', 'BUDGET_EXCEEDED'));
  const agentId = await w.sandboxAgent();
  const refused = await w.promote(WORKSPACE, agentId, {}, OPERATOR);
  t.match(refused, { success: false, denies: [{ code: 'BUDGET_EXCEEDED' }] });
  t.match(await w.row('SELECT codes FROM decisions WHERE id = $1', [refused.decisionId]), {
    codes: ['BUDGET_EXCEEDED'],
  });
});

t.test('one rejection ends it', async (t) => {
  const w = await world(t, { approvalsRequired: 2 });
  const { promotionId, agentId } = await pending(w);
  await w.decisions.approve(WORKSPACE, promotionId, undefined, BEA);
  t.match(await w.decisions.reject(WORKSPACE, promotionId, 'not yet', CARL), { state: 'rejected', agentId });
  t.match(await promotionRow(w, promotionId), { state: 'rejected', rejection: { id: 'carl', reason: 'not yet' } });
  t.match((await w.events(['promotion.rejected']))[0], { payload: { agentId, promotionId, reason: COMMITMENT } });
  await t.rejects(w.decisions.approve(WORKSPACE, promotionId, undefined, ADMIN), { code: 'PROMOTION_DECIDED' });
  t.match(await w.promote(WORKSPACE, agentId, {}, OPERATOR), { state: 'pending' }, 'it may be asked for anew');
});

t.test('a second request while one waits', async (t) => {
  const w = await world(t);
  const { promotionId, agentId } = await pending(w);
  const asked = w.promote(WORKSPACE, agentId, {}, ADMIN);
  await t.rejects(asked, { code: 'PROMOTION_PENDING', members: { promotionId } });
  await w.workspaceSettings.patch(WORKSPACE, { approvalsRequired: 0 }, () => undefined, ADMIN);
  await t.rejects(w.promote(WORKSPACE, agentId, {}, ADMIN), { code: 'PROMOTION_PENDING' }, 'not around it either');
  const other = await w.sandboxAgent();
  const both = await Promise.allSettled([1, 2].map(() => w.promote(WORKSPACE, other, {}, ADMIN)));
  t.equal(both.filter(({ status }) => status === 'fulfilled').length, 1);
});

t.test('two requests at once: one is pending', async (t) => {
  const w = await world(t);
  const agentId = await w.sandboxAgent();
  const both = await Promise.allSettled([OPERATOR, ADMIN].map((caller) => w.promote(WORKSPACE, agentId, {}, caller)));
  t.same(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  t.match(
    both.find(({ status }) => status === 'rejected'),
    { reason: { code: 'PROMOTION_PENDING' } },
  );
  t.same(await types(w), ['promotion.requested']);
});

const stale: {
  why: string;
  cause: string;
  code: string;
  change: (w: Governance, agentId: string) => Promise<unknown>;
}[] = [
  {
    why: 'the spec was changed',
    cause: 'SPEC_CHANGED',
    code: 'APPROVAL_STALE',
    change: (w, agentId) =>
      w.agents.patch(WORKSPACE, agentId, { spec: { description: 'more' } }, () => undefined, OPERATOR),
  },
  {
    why: 'another policy is active',
    cause: 'POLICY_CHANGED',
    code: 'APPROVAL_STALE',
    change: (w) => w.activate(POLICIES.second),
  },
  {
    why: 'the agent was deleted',
    cause: 'AGENT_DELETED',
    code: 'APPROVAL_STALE',
    change: (w, agentId) => w.agents.remove(WORKSPACE, agentId, OPERATOR),
  },
  {
    why: 'nobody decided in time',
    cause: 'EXPIRED',
    code: 'APPROVAL_EXPIRED',
    change: async (w) => {
      w.time.now += PENDING_MS;
    },
  },
];

for (const { why, cause, code, change } of stale) {
  t.test(`it lapses: ${why}`, async (t) => {
    const w = await world(t, { approvalsRequired: 2 });
    const { agentId, promotionId } = await pending(w);
    const other = await pending(w);
    await w.decisions.approve(WORKSPACE, promotionId, undefined, BEA);
    await change(w, agentId);
    await t.rejects(w.decisions.approve(WORKSPACE, promotionId, undefined, CARL), { code });
    await t.rejects(w.decisions.approve(WORKSPACE, promotionId, undefined, CARL), { code }, 'and stays so');
    await t.rejects(w.decisions.reject(WORKSPACE, promotionId, 'no', CARL), { code });
    t.match(await promotionRow(w, promotionId), { state: 'lapsed', lapse_cause: cause, proof_id: null });
    const lapsed = await w.events(['promotion.lapsed']);
    t.match(lapsed, [{ payload: { agentId, promotionId, cause } }]);
    t.equal(lapsed.length, 1);
    if (cause === 'SPEC_CHANGED' || cause === 'AGENT_DELETED') {
      t.match(await promotionRow(w, other.promotionId), { state: 'pending' }, 'another agent’s does not');
    }
    if (cause === 'AGENT_DELETED') return;
    t.match(await w.promote(WORKSPACE, agentId, {}, OPERATOR), { state: 'pending', approvals: 0 });
  });
}

t.test('between the two phases: stale, decided, out of time', async (t) => {
  const w = await world(t);
  const { decisions, between } = w;
  const once = (then: () => Promise<unknown>) => {
    between.phases = async () => {
      between.phases = async () => undefined;
      await then();
    };
  };
  const first = await pending(w);
  once(() => w.agents.patch(WORKSPACE, first.agentId, { spec: { description: 'more' } }, () => undefined, OPERATOR));
  await t.rejects(decisions.approve(WORKSPACE, first.promotionId, undefined, BEA), { code: 'APPROVAL_STALE' });

  const second = await pending(w);
  once(() => decisions.reject(WORKSPACE, second.promotionId, 'no', CARL));
  await t.rejects(decisions.approve(WORKSPACE, second.promotionId, undefined, BEA), { code: 'PROMOTION_DECIDED' });

  const third = await pending(w);
  once(async () => {
    w.time.now += PENDING_MS;
  });
  await t.rejects(decisions.approve(WORKSPACE, third.promotionId, undefined, BEA), { code: 'APPROVAL_EXPIRED' });

  const fourth = await pending(w);
  once(() => w.workspaceSettings.patch(WORKSPACE, { approvalsRequired: 2 }, () => undefined, ADMIN));
  t.match(
    await decisions.approve(WORKSPACE, fourth.promotionId, undefined, BEA),
    { state: 'pending', approvals: 1, approvalsRequired: 2 },
    'never fewer than the workspace asks for',
  );
  t.same((await w.events(['proof.issued'])).length, 0);
});

t.test('many deciders at once: one end', async (t) => {
  const w = await world(t);
  for (let round = 0; round < 4; round += 1) {
    const { promotionId, agentId } = await pending(w);
    const deciders = ['p', 'q', 'r', 's'].map((id) => ({ ...BEA, id }));
    if (round === 3) w.time.now += PENDING_MS - 1;
    const tick = async () => {
      if (round === 3) w.time.now += 1;
      await lapseDue({ storage: w.storage, audit: w.audit, clock: () => w.time.now }, new AbortController().signal);
    };
    const ends = await Promise.allSettled([
      ...deciders.map((one) => w.decisions.approve(WORKSPACE, promotionId, undefined, one)),
      ...deciders.map((one) => w.decisions.reject(WORKSPACE, promotionId, 'no', { ...one, id: `${one.id}2` })),
      tick().then(() => Promise.reject(new Error('the job decides nothing'))),
    ]);
    const done = ends.filter(({ status }) => status === 'fulfilled');
    const { state } = await promotionRow(w, promotionId);
    t.equal(done.length, state === 'lapsed' ? 0 : 1, `${String(state)} by one`);
    const ended = (await w.events(EVENTS)).filter(
      ({ event_type: type, payload }) =>
        payload.promotionId === promotionId && /approved|denied|rejected|lapsed/.test(type),
    );
    t.equal(ended.length, 1);
    const { mode } = await w.row('SELECT mode FROM agents WHERE id = $1', [agentId]);
    t.equal(mode, state === 'approved' ? 'governed' : 'sandbox');
  }
});

t.test('two last-but-one approvals at once: two of three', async (t) => {
  const w = await world(t, { approvalsRequired: 3 });
  const { promotionId } = await pending(w);
  const approve = (caller: Caller) => w.decisions.approve(WORKSPACE, promotionId, undefined, caller);
  await Promise.all([approve(BEA), approve(CARL)]);
  await Promise.allSettled([approve(BEA), approve(CARL)]);
  const { rows } = await w.database.query('SELECT position, approver_id FROM promotion_approvals ORDER BY 1');
  t.same(
    rows.map(({ position }) => position),
    [1, 2],
  );
  t.match(await promotionRow(w, promotionId), { state: 'pending' });
});

const brakes: {
  why: string;
  brake: (w: Governance, agentId: string) => Promise<unknown>;
  code: string;
  denies: string;
}[] = [
  {
    why: 'quarantined',
    brake: (w, agentId) => w.brakes.quarantine(WORKSPACE, agentId, 'odd', ADMIN),
    code: 'AGENT_QUARANTINED',
    denies: 'AGENT_QUARANTINED',
  },
  {
    why: 'expired',
    brake: async (w) => {
      w.time.now += 2 * DAY;
    },
    code: 'ADMISSION_DENIED',
    denies: 'SANDBOX_EXPIRED',
  },
  {
    why: 'edited',
    brake: (w, agentId) =>
      tamper(w.database, `UPDATE agent_specs SET spec = '{"name": "other"}' WHERE agent_id = $1`, [agentId]),
    code: 'ADMISSION_DENIED',
    denies: 'SPEC_HASH_MISMATCH',
  },
];

for (const { why, brake, code, denies } of brakes) {
  t.test(`brakes win: the agent is ${why} while it waits`, async (t) => {
    const w = await world(t, { approvalsRequired: 2 });
    const { agentId, promotionId } = await pending(w, { ttl: DAY / 1000 });
    await brake(w, agentId);
    await t.rejects(w.decisions.approve(WORKSPACE, promotionId, undefined, BEA), {
      code,
      promotionId,
      denies: [{ code: denies }],
    });
    t.match(await promotionRow(w, promotionId), { state: 'denied' });
    t.same(await types(w), ['promotion.requested', 'promotion.denied']);
    t.match(await w.row('SELECT count(*)::int AS n FROM decisions'), { n: 2 });
  });
}

t.test('a suspended workspace holds it still', async (t) => {
  const w = await world(t);
  const { promotionId } = await pending(w);
  const set = (state: string) =>
    tamper(w.database, 'UPDATE workspaces SET state = $2 WHERE id = $1', [WORKSPACE, state]);
  await set('suspended');
  await t.rejects(w.decisions.approve(WORKSPACE, promotionId, undefined, BEA), { code: 'WORKSPACE_SUSPENDED' });
  await t.rejects(w.decisions.reject(WORKSPACE, promotionId, 'no', BEA), { code: 'WORKSPACE_SUSPENDED' });
  await set('active');
  t.match(await w.decisions.approve(WORKSPACE, promotionId, undefined, BEA), { success: true });
});

t.test('the job ends what nobody decided, in every workspace, once', async (t) => {
  const w = await world(t);
  const { promotionId } = await pending(w);
  const parts = { storage: w.storage, audit: w.audit, clock: () => w.time.now };
  const round = () => lapseDue(parts, new AbortController().signal);
  await round();
  t.match(await promotionRow(w, promotionId), { state: 'pending' });
  w.time.now += PENDING_MS;
  await Promise.all([round(), round()]);
  t.match(await promotionRow(w, promotionId), { state: 'lapsed', lapse_cause: 'EXPIRED' });
  t.equal((await w.events(['promotion.lapsed'])).length, 1);
});

t.test('without a signer nothing is decided and the promotion waits on', async (t) => {
  const w = await world(t);
  const { promotionId } = await pending(w);
  w.switches.proofDown = true;
  await t.rejects(w.decisions.approve(WORKSPACE, promotionId, undefined, BEA), { code: 'SIGNER_UNAVAILABLE' });
  t.match(await promotionRow(w, promotionId), { state: 'pending' });
  t.match(await w.row('SELECT count(*)::int AS n FROM promotion_approvals'), { n: 0 });
  w.switches.proofDown = false;
  t.match(await w.decisions.approve(WORKSPACE, promotionId, undefined, BEA), { success: true });
});

t.test('in a batch it is said to be pending', async (t) => {
  const w = await world(t);
  const act = createBatchPromotion(w.promote);
  const agentId = await w.sandboxAgent();
  t.match(await act(WORKSPACE, agentId, OPERATOR), { success: true, state: 'pending', promotionId: String });
  await t.rejects(act(WORKSPACE, agentId, OPERATOR), { code: 'PROMOTION_PENDING' });
});

t.test('one of another workspace, or of none, is not found', async (t) => {
  const w = await world(t);
  const { promotionId } = await pending(w);
  for (const id of [newId(), 'x']) {
    await t.rejects(w.decisions.approve(WORKSPACE, id, undefined, BEA), { code: 'NOT_FOUND' });
    await t.rejects(w.decisions.reject(WORKSPACE, id, 'no', BEA), { code: 'NOT_FOUND' });
  }
  await t.rejects(w.decisions.approve('other', promotionId, undefined, BEA), { code: 'NOT_FOUND' });
});
