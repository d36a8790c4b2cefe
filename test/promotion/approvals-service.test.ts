import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

import { type Answer, type TestService, testCertificates, testService } from '../support/service.ts';
import { reload } from '../system/support/policies.ts';
import { SPEC } from '../system/support/world.ts';

const WS = '/v1/workspaces/demo';

/** Calls that must be answered with that status. */
function callsOf({ call }: TestService) {
  return async (status: number, who: string, method: string, path: string, body?: unknown): Promise<Answer> => {
    const answer = await call(who, method, `${WS}${path}`, body);
    if (answer.status !== status) throw new Error(`${who} ${method} ${path}: ${answer.status} ${answer.text}`);
    return answer;
  };
}

type Calls = ReturnType<typeof callsOf>;

async function newAgent(expect: Calls): Promise<string> {
  return `/agents/${String((await expect(201, 'operator', 'POST', '/agents', { spec: SPEC })).body.id)}`;
}

/** Asked for by the operator, approved by the approver. */
async function approved(expect: Calls, agent: string): Promise<Answer> {
  const asked = await expect(202, 'operator', 'POST', `${agent}/promote`, { justification: 'ready' });
  return expect(200, 'kernel-approver', 'POST', `/promotions/${asked.body.promotionId}/approve`);
}

t.test('approvals over HTTP, under the shipped policy', async (t) => {
  const service = await testService(t);
  const expect = callsOf(service);
  await expect(200, 'kernel-admin', 'PATCH', '/settings', { approvalsRequired: 1 });
  const agent = await newAgent(expect);
  const asked = await expect(202, 'operator', 'POST', `${agent}/promote`, { justification: 'ready' });
  t.match(asked.body, { state: 'pending', approvals: 0, approvalsRequired: 1 });
  const promotion = `/promotions/${asked.body.promotionId}`;
  t.match((await expect(200, 'operator', 'GET', promotion)).body, {
    state: 'pending',
    approvals: [],
    approvalsRequired: 1,
    expiresAt: asked.body.expiresAt,
    requestDecisionId: asked.body.decisionId,
    decidedAt: null,
  });
  t.match((await expect(409, 'operator', 'POST', `${agent}/promote`)).body, {
    code: 'PROMOTION_PENDING',
    promotionId: asked.body.promotionId,
  });

  await t.test('who may not', async (t) => {
    for (const who of ['operator', 'auditor', 'orchestrator']) {
      t.match((await expect(403, who, 'POST', `${promotion}/approve`)).body, { code: 'PERMISSION_DENIED' });
      t.match((await expect(403, who, 'POST', `${promotion}/reject`, { reason: 'no' })).body, {
        code: 'PERMISSION_DENIED',
      });
    }
    t.match((await expect(404, 'outsider', 'POST', `${promotion}/approve`)).body, { code: 'NOT_FOUND' });
    t.equal((await expect(400, 'kernel-approver', 'POST', `${promotion}/approve`, { actor: 'root' })).status, 400);
    t.equal((await expect(400, 'kernel-approver', 'POST', `${promotion}/reject`, {})).status, 400);
    await expect(404, 'kernel-approver', 'POST', `/promotions/${asked.body.decisionId}/approve`);
  });

  await t.test('an approval with an Idempotency-Key counts once', async (t) => {
    const headers = { 'idempotency-key': 'approve-1' };
    const send = () => service.call('kernel-approver', 'POST', `${WS}${promotion}/approve`, { comment: 'ok' }, headers);
    const [first, again] = [await send(), await send()];
    t.match(first, { status: 200, body: { success: true, state: 'approved', governedAgent: { mode: 'governed' } } });
    t.equal(again.text, first.text);
    const shown = (await expect(200, 'operator', 'GET', promotion)).body;
    t.match(shown, { state: 'approved', decisionId: first.body.decisionId, approvals: [{ comment: 'ok' }] });
    t.equal(shown.approvals.length, 1);
    const verified = await expect(200, 'auditor', 'POST', '/proofs/verify', { proof: first.body.proof, spec: SPEC });
    t.same(verified.body, { valid: true });
    await expect(200, 'operator', 'POST', `${agent}/start`);
    t.match((await expect(409, 'kernel-admin', 'POST', `${promotion}/approve`)).body, { code: 'PROMOTION_DECIDED' });
  });

  await t.test('an admin who asks needs another', async (t) => {
    const other = await newAgent(expect);
    const own = await expect(202, 'kernel-admin', 'POST', `${other}/promote`);
    const path = `/promotions/${own.body.promotionId}/approve`;
    t.match((await expect(403, 'kernel-admin', 'POST', path)).body, { code: 'PERMISSION_DENIED' });
    const { rows } = await service.database.query(
      `SELECT payload FROM audit_events WHERE chain = 'demo' AND event_type = 'access.denied' ORDER BY seq DESC LIMIT 1`,
    );
    t.match(rows, [{ payload: { reason: 'OWN_REQUEST', permission: 'promotion.decide' } }]);
    t.match((await expect(200, 'kernel-approver', 'POST', path)).body, { success: true });
  });

  await t.test('comments and reasons can be erased', async (t) => {
    const other = await newAgent(expect);
    const own = await expect(202, 'operator', 'POST', `${other}/promote`);
    await expect(200, 'kernel-approver', 'POST', `/promotions/${own.body.promotionId}/reject`, { reason: 'not Bob' });
    const list = async () => (await expect(200, 'auditor', 'GET', '/promotions')).text;
    t.match(await list(), /not Bob/);
    t.match(await list(), /"comment":"ok"/);
    const { rows } = await service.database.query(
      `SELECT seq::int FROM audit_events WHERE chain = 'demo' AND event_type = 'promotion.rejected'`,
    );
    await expect(200, 'kernel-admin', 'POST', '/audit/erasures', { events: [rows[0].seq], reason: 'asked' });
    t.notMatch(await list(), /not Bob/);
    t.match(await list(), /"comment":"ok"/, 'of the one event alone');
    await expect(200, 'kernel-admin', 'POST', '/audit/erasures', { actorId: 'kernel-approver', reason: 'asked' });
    t.notMatch(await list(), /"comment":"ok"/);
  });
});

t.test('a service approves nothing, whatever its roles, and may reject', async (t) => {
  const certsDir = await testCertificates(t);
  const map = readFileSync(join(certsDir, 'identity-map.json'), 'utf8');
  const mapFile = join(t.testdir({ 'map.json': map.replace('"orchestrator"\n', '"kernel-approver"\n') }), 'map.json');
  const service = await testService(t, { certsDir, identity: { mapFile } });
  const expect = callsOf(service);
  await expect(200, 'kernel-admin', 'PATCH', '/settings', { approvalsRequired: 1 });
  const asked = await expect(202, 'operator', 'POST', `${await newAgent(expect)}/promote`);
  const path = `/promotions/${asked.body.promotionId}`;
  t.match((await expect(403, 'orchestrator', 'POST', `${path}/approve`)).body, { code: 'PERMISSION_DENIED' });
  const { rows } = await service.database.query(
    `SELECT payload FROM audit_events WHERE chain = 'demo' AND event_type = 'access.denied'`,
  );
  t.match(rows, [{ payload: { reason: 'NOT_A_HUMAN' } }]);
  await expect(200, 'orchestrator', 'POST', `${path}/reject`, { reason: 'no' });
});

t.test('a policy that knows neither stage nor approval', async (t) => {
  const service = await testService(t);
  const expect = callsOf(service);
  const module = `package castellan.promotion
import rego.v1
deny contains {"code": "PERMISSION_DENIED", "reason": "approvers and admins only"} if not trusted
trusted if {
  some role in input.actor.roles
  role in ["kernel-approver", "kernel-admin"]
}
deny contains {"code": "BUDGET_EXCEEDED", "reason": "too much"} if input.agent.spec.budget.monthlyUsd > 100
`;
  const bundle = { modules: { 'promotion.rego': module }, data: {} };
  await expect(200, 'kernel-admin', 'POST', '/policy/hotreload', { policySet: 'default', bundle });
  await expect(200, 'kernel-admin', 'PATCH', '/settings', { approvalsRequired: 1 });
  t.match((await approved(expect, await newAgent(expect))).body, { success: true });
  const spec = { ...SPEC, budget: { monthlyUsd: 101 } };
  const { id } = (await expect(201, 'operator', 'POST', '/agents', { spec })).body;
  t.match((await expect(200, 'operator', 'POST', `/agents/${id}/promote`)).body, {
    success: false,
    denies: [{ code: 'BUDGET_EXCEEDED' }],
  });
});

t.test('approvals and another policy', async (t) => {
  const service = await testService(t);
  const expect = callsOf(service);
  await expect(200, 'kernel-admin', 'PATCH', '/settings', { approvalsRequired: 1 });
  const agent = await newAgent(expect);
  t.match((await approved(expect, agent)).body, { success: true });
  const id = agent.split('/').at(-1);
  const activate = async (monthlyUsd: number) =>
    expect(200, 'kernel-admin', 'POST', '/policy/hotreload', reload({ monthlyUsd, revalidate: false }));
  const revalidate = async () => (await expect(200, 'kernel-admin', 'POST', '/policy/revalidate', {})).body.results;
  const governance = async () => (await expect(200, 'operator', 'GET', `${agent}/governance`)).body.governance;
  const predicate = async () =>
    JSON.parse(Buffer.from((await governance()).proof.payload, 'base64').toString('utf8')).predicate;

  await t.test('they carry over with the hash they were given for', async (t) => {
    const before = await predicate();
    await activate(900);
    t.same(await revalidate(), [{ agentId: id, status: 'GOVERNED_VALID' }]);
    const after = await predicate();
    t.same([after.promoter, after.approvals], [before.promoter, before.approvals]);
    t.not(after.policyHash, before.policyHash);
  });

  await t.test('unless the workspace wants them again: restricted, and asked for by the same route', async (t) => {
    await expect(200, 'kernel-admin', 'PATCH', '/settings', { reapproveOnPolicyChange: true });
    t.same(await revalidate(), [{ agentId: id, status: 'GOVERNED_VALID' }], 'nothing has changed since');
    await expect(409, 'operator', 'POST', `${agent}/promote`);
    const before = await predicate();
    await activate(800);
    const restricted = {
      agentId: id,
      status: 'GOVERNED_RESTRICTED',
      denies: [{ code: 'APPROVAL_STALE', severity: 'RESTRICT' }],
    };
    t.match(await revalidate(), [restricted]);
    t.match(await revalidate(), [restricted], 'as often as it is looked at');
    t.match(await governance(), { status: 'GOVERNED_RESTRICTED' });
    t.match((await expect(403, 'operator', 'POST', `${agent}/start`)).body.denies, [
      { code: 'POLICY_HASH_MISMATCH', severity: 'RESTRICT' },
    ]);
    await expect(200, 'kernel-admin', 'POST', `${agent}/quarantine`, { reason: 'odd' });
    await expect(403, 'operator', 'POST', `${agent}/promote`);
    await expect(200, 'kernel-admin', 'POST', `${agent}/release`, { reason: 'fine' });
    t.match(await governance(), { status: 'GOVERNED_RESTRICTED' }, 'a release gives no approval');
    const again = await approved(expect, agent);
    t.match(again.body, { success: true, governedAgent: { mode: 'governed' } });
    t.match(await governance(), { status: 'GOVERNED_VALID' });
    const after = await predicate();
    t.equal(after.approvals[0].policyHash, after.policyHash);
    t.match(after.previousProof, /^sha256:/);
    t.not(after.promotionId, before.promotionId);
    await expect(200, 'operator', 'POST', `${agent}/start`);
    await expect(409, 'operator', 'POST', `${agent}/promote`);
  });

  await t.test('what fails the new policy is invalidated all the same', async (t) => {
    await activate(1);
    t.match(await revalidate(), [
      { agentId: id, status: 'GOVERNED_INVALIDATED', denies: [{ code: 'BUDGET_EXCEEDED' }] },
    ]);
    t.match((await expect(409, 'operator', 'POST', `${agent}/promote`)).body, { code: 'ALREADY_GOVERNED' });
  });
});
