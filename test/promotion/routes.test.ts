import t from 'tap';

import { newId } from '../../src/ids.ts';
import { denial, governance, governedAgent, SPEC, WORKSPACE } from '../admission/fixture.ts';
import { apiOf } from './api.ts';

const BASE = `/v1/workspaces/${WORKSPACE}`;

t.test('promotion over HTTP', async (t) => {
  const world = await governance(t);
  const app = await apiOf(t, world);
  const post = (path: string, as: string, payload?: object) =>
    app.inject({ method: 'POST', url: `${BASE}${path}`, headers: { 'x-as': as }, ...(payload && { payload }) });
  const get = (path: string, as = 'operator') =>
    app.inject({ method: 'GET', url: `${BASE}${path}`, headers: { 'x-as': as } });

  const agentId = await world.sandboxAgent();
  world.policy.answers.set('*', denial('BUDGET_EXCEEDED'));
  const denied = await post(`/agents/${agentId}/promote`, 'operator');
  t.equal(denied.statusCode, 200, 'the one denial that is not a 403');
  t.same(Object.keys(denied.json()), ['success', 'promotionId', 'decisionId', 'denies']);
  t.same(denied.json().denies, [
    {
      code: 'BUDGET_EXCEEDED',
      reason: 'because of BUDGET_EXCEEDED',
      severity: 'DENY',
      check: 'castellan.promotion',
    },
  ]);

  world.policy.answers.clear();
  const promoted = await post(`/agents/${agentId}/promote`, 'kernel-admin', { justification: 'ready' });
  t.equal(promoted.statusCode, 200);
  const { promotionId, proof } = promoted.json();
  t.match(promoted.json(), {
    success: true,
    governedAgent: { id: agentId, mode: 'governed', spec: SPEC, expiresAt: null, status: 'stopped' },
    proof: { payloadType: 'application/vnd.in-toto+json', signatures: [{ keyid: 'proof-1' }] },
  });
  t.equal((await post(`/agents/${agentId}/promote`, 'operator')).statusCode, 409);

  const refusals: { why: string; as: string; path: string; payload?: object; status: number; code: string }[] = [
    {
      why: 'an approver asks for nothing',
      as: 'kernel-approver',
      path: `/agents/${agentId}/promote`,
      status: 403,
      code: 'PERMISSION_DENIED',
    },
    {
      why: 'another workspace',
      as: 'operator@other',
      path: `/agents/${agentId}/promote`,
      status: 404,
      code: 'NOT_FOUND',
    },
    { why: 'no such agent', as: 'operator', path: `/agents/${newId()}/promote`, status: 404, code: 'NOT_FOUND' },
    { why: 'no agent id', as: 'operator', path: '/agents/x/promote', status: 404, code: 'NOT_FOUND' },
    {
      why: 'a body that names an actor',
      as: 'operator',
      path: `/agents/${agentId}/promote`,
      payload: { actor: { id: 'root' } },
      status: 400,
      code: 'VALIDATION_FAILED',
    },
    {
      why: 'only an admin releases',
      as: 'operator',
      path: `/agents/${agentId}/release`,
      payload: { reason: 'x' },
      status: 403,
      code: 'PERMISSION_DENIED',
    },
    {
      why: 'a release says why',
      as: 'kernel-admin',
      path: `/agents/${agentId}/release`,
      payload: {},
      status: 400,
      code: 'VALIDATION_FAILED',
    },
    {
      why: 'a release of an agent that is free',
      as: 'kernel-admin',
      path: `/agents/${agentId}/release`,
      payload: { reason: 'x' },
      status: 409,
      code: 'NOT_QUARANTINED',
    },
  ];
  for (const { why, as, path, payload, status, code } of refusals) {
    const response = await post(path, as, payload);
    t.equal(response.statusCode, status, why);
    t.equal(response.json().code, code, why);
  }

  await t.test('a quarantined agent: 403 with the decision, and its release', async (t) => {
    const other = await world.sandboxAgent();
    const caller = { id: 'ada', kind: 'human' as const, roles: ['kernel-admin'], traceId: 'a'.repeat(32) };
    await world.brakes.quarantine(WORKSPACE, other, 'suspicious', caller);
    const refused = await post(`/agents/${other}/promote`, 'operator');
    t.equal(refused.statusCode, 403);
    t.match(refused.json(), {
      code: 'AGENT_QUARANTINED',
      decisionId: String,
      denies: [{ code: 'AGENT_QUARANTINED', check: 'quarantine' }],
    });
    const released = await post(`/agents/${other}/release`, 'kernel-admin', { reason: 'fine' });
    t.match(released.json(), { success: true, status: 'stopped', proofId: null, auditEvent: { chain: WORKSPACE } });
    t.equal(released.statusCode, 200);
  });

  await t.test('a refused release: 403 with the decision', async (t) => {
    const other = await governedAgent(world);
    const caller = { id: 'ada', kind: 'human' as const, roles: ['kernel-admin'], traceId: 'a'.repeat(32) };
    await world.brakes.quarantine(WORKSPACE, other, 'suspicious', caller);
    world.policy.answers.set('*', denial('BUDGET_EXCEEDED'));
    const refused = await post(`/agents/${other}/release`, 'kernel-admin', { reason: 'fine' });
    world.policy.answers.clear();
    t.equal(refused.statusCode, 403);
    t.match(refused.json(), { code: 'RELEASE_DENIED', decisionId: String, denies: [{ code: 'BUDGET_EXCEEDED' }] });
  });

  await t.test('the list and its pages', async (t) => {
    const all = (await get(`/promotions?agentId=${agentId}`)).json();
    t.same(
      all.promotions.map((one: { state: string }) => one.state),
      ['denied', 'approved'],
    );
    t.equal(all.nextCursor, null);
    const first = (await get(`/promotions?agentId=${agentId}&limit=1`)).json();
    t.equal(first.promotions.length, 1);
    const second = (await get(`/promotions?agentId=${agentId}&limit=1&cursor=${first.nextCursor}`)).json();
    t.same(second.promotions[0], all.promotions[1]);
    t.equal((await get(`/promotions?state=denied&limit=1&cursor=${first.nextCursor}`)).statusCode, 400, 'other filter');
    t.equal((await get('/promotions?state=maybe')).statusCode, 400);
    t.equal((await get('/promotions?colour=red')).statusCode, 400);
    const one = (await get(`/promotions/${promotionId}`)).json();
    t.same(one, all.promotions[1]);
    t.equal((await get(`/promotions/${newId()}`)).statusCode, 404);
    t.equal((await get('/promotions/x')).statusCode, 404);
    t.equal((await get(`/promotions/${promotionId}`, 'operator@other')).statusCode, 404);
  });

  await t.test('verifying a proof', async (t) => {
    const verify = (payload: object, as = 'auditor') => post('/proofs/verify', as, payload);
    t.same((await verify({ proof, spec: SPEC })).json(), { valid: true });
    t.same((await verify({ proof, spec: { name: 'x' } })).json(), { valid: false, reason: 'SPEC_HASH_MISMATCH' });
    t.same((await verify({ proof: 7 })).json(), { valid: false, reason: 'MALFORMED' });
    t.equal((await verify({})).statusCode, 400, 'nothing to verify');
    t.equal((await verify({ proof, more: 1 })).statusCode, 400);
    t.same((await verify({ proof }, `agent:${agentId}@demo`)).json(), { valid: true });
    t.same((await verify({ proof }, `agent:${newId()}@demo`)).json(), { valid: false, reason: 'MALFORMED' });
  });
});
