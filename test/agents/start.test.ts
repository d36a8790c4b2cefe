import t from 'tap';
import { COMMITMENT } from '../support/personal.ts';
import { agentsFixture, CALLER, NOBODY, POLICY_HASH } from './fixture.ts';

t.test('starting and stopping', async (t) => {
  const f = await agentsFixture(t);
  const { agent } = await f.service.create('demo', { spec: { name: 'a', runtime: { replicas: 3 } } }, CALLER);

  const started = await f.start('demo', agent.id, {}, CALLER);
  t.match(started, {
    success: true,
    agentId: agent.id,
    status: 'running',
    managed: false,
    admission: { policyHash: POLICY_HASH, interceptors: [] },
    auditEvent: { chain: 'demo', seq: 3 },
  });
  t.equal(started.admission?.checks.length, 7);
  t.match(await f.lists.status('demo', agent.id), { status: 'running', desiredReplicas: 3, readyReplicas: 3 });
  const { rows } = await f.database.query('SELECT id, effect, codes, audit_seq FROM decisions');
  t.match(rows, [{ id: started.decisionId, effect: 'ALLOW', codes: [], audit_seq: '3' }]);
  t.match(f.logged, [{ decisionId: started.decisionId, code: 'ALLOWED' }]);

  const again = await f.start('demo', agent.id, {}, CALLER);
  t.strictSame(again, { success: true, agentId: agent.id, status: 'running', managed: false, alreadyRunning: true });
  t.equal((await f.events()).length, 3, 'no event');

  const stopped = await f.brakes.stop('demo', agent.id, { reason: 'enough' }, CALLER);
  t.match(stopped, { success: true, status: 'stopped', auditEvent: { seq: 4 } });
  t.match((await f.events()).at(-1), {
    event_type: 'agent.stopped',
    payload: { agentId: agent.id, reason: COMMITMENT },
  });
  t.match(await f.lists.status('demo', agent.id), { desiredReplicas: 0, readyReplicas: 0 });
  t.strictSame(await f.brakes.stop('demo', agent.id, {}, CALLER), {
    success: true,
    agentId: agent.id,
    status: 'stopped',
    auditEvent: null,
  });
  t.strictSame(f.metrics, ['allowed']);
});

t.test('fifty starts at once are one start', async (t) => {
  const f = await agentsFixture(t);
  const { agent } = await f.service.create('demo', { spec: { name: 'a' } }, CALLER);
  const results = await Promise.all(Array.from({ length: 50 }, () => f.start('demo', agent.id, {}, CALLER)));
  t.equal(results.filter((one) => one.alreadyRunning === true).length, 49);
  const allowed = (await f.events()).filter((one) => one.event_type === 'agent.start.allowed');
  t.equal(allowed.length, 1);
});

t.test('a denial is committed, then thrown', async (t) => {
  const f = await agentsFixture(t);
  const { agent } = await f.service.create('demo', { spec: { name: 'a' } }, CALLER);
  f.control.denies = [
    { code: 'CONTAINMENT_VIOLATION', reason: 'writes', severity: 'DENY', check: 'sandboxContainment' },
    { code: 'SANDBOX_EXPIRED', reason: 'late', severity: 'DENY', check: 'sandboxExpiry' },
  ];
  await t.rejects(f.start('demo', agent.id, {}, CALLER), {
    code: 'ADMISSION_DENIED',
    members: { denies: f.control.denies, auditEvent: { chain: 'demo' } },
  });
  const last = (await f.events()).at(-1);
  t.match(last, { event_type: 'agent.start.denied', payload: { denies: f.control.denies } });
  const { rows } = await f.database.query('SELECT id, effect, tier, codes FROM decisions');
  t.match(rows, [
    { id: last?.payload['decisionId'], effect: 'DENY', tier: 3, codes: ['CONTAINMENT_VIOLATION', 'SANDBOX_EXPIRED'] },
  ]);
  t.strictSame(f.metrics, ['CONTAINMENT_VIOLATION'], 'counted once, with the first code');
  t.match(f.logged, [{ code: 'CONTAINMENT_VIOLATION' }]);
  t.equal((await f.lists.status('demo', agent.id)).status, 'stopped');
});

t.test('what admission saw must still hold at the commit', async (t) => {
  const f = await agentsFixture(t);
  const { agent } = await f.service.create('demo', { spec: { name: 'a' } }, CALLER);

  t.test('a policy tightened in between is asked again', async (t) => {
    let rounds = 0;
    f.control.afterEvaluate = async () => {
      rounds += 1;
      if (rounds > 1) return;
      await f.database.query(`UPDATE policy_heads SET revision = revision + 1 WHERE workspace_id = 'demo'`);
      f.control.denies = [{ code: 'X', reason: 'tighter', severity: 'DENY', check: 'castellan.runtime' }];
    };
    await t.rejects(f.start('demo', agent.id, {}, CALLER), { code: 'ADMISSION_DENIED' });
    t.equal(rounds, 2);
  });

  t.test('an agent that never holds still is refused', async (t) => {
    f.control.denies = [];
    f.control.afterEvaluate = async () => {
      await f.database.query(`UPDATE agents SET updated_at = now() WHERE id = '${agent.id}'`);
    };
    await t.rejects(f.start('demo', agent.id, {}, CALLER), { code: 'OVERLOADED' });
  });

  t.test('an agent that expires in between is not started', async (t) => {
    f.control.afterEvaluate = async () => {
      f.time.now += 100_000_000;
      f.control.afterEvaluate = async () => undefined;
    };
    await t.rejects(f.start('demo', agent.id, {}, CALLER), {
      code: 'ADMISSION_DENIED',
      members: { denies: [{ code: 'SANDBOX_EXPIRED' }] },
    });
  });

  t.test('an agent deleted in between is gone', async (t) => {
    const { agent } = await f.service.create('demo', { spec: { name: 'b' } }, CALLER);
    f.control.afterEvaluate = () => f.service.remove('demo', agent.id, CALLER);
    await t.rejects(f.start('demo', agent.id, {}, CALLER), { code: 'NOT_FOUND' });
  });
});

t.test('quarantine, suspension and unknown agents', async (t) => {
  const f = await agentsFixture(t);
  const { agent } = await f.service.create('demo', { spec: { name: 'a' } }, CALLER);
  await f.start('demo', agent.id, {}, CALLER);

  t.match(await f.brakes.quarantine('demo', agent.id, 'odd', CALLER), {
    status: 'quarantined',
    auditEvent: { seq: 4 },
  });
  t.match(await f.brakes.quarantine('demo', agent.id, 'odd', CALLER), { status: 'quarantined', auditEvent: null });
  t.match((await f.events()).at(-1), {
    event_type: 'agent.quarantined',
    payload: { reason: COMMITMENT, wasRunning: true },
  });
  t.match((await f.service.get('demo', agent.id)).agent, { quarantine: { by: CALLER.id, reason: 'odd' } });
  await t.rejects(f.start('demo', agent.id, {}, CALLER), { code: 'AGENT_QUARANTINED' });
  t.match(await f.brakes.stop('demo', agent.id, {}, CALLER), { status: 'quarantined', auditEvent: null });

  const other = await f.service.create('other', { spec: { name: 'b' } }, CALLER);
  await f.database.query(`UPDATE workspaces SET state = 'suspended' WHERE id = 'other'`);
  await t.rejects(f.start('other', other.agent.id, {}, CALLER), { code: 'WORKSPACE_SUSPENDED' });

  for (const id of [NOBODY, 'x', other.agent.id]) {
    await t.rejects(f.start('demo', id, {}, CALLER), { code: 'NOT_FOUND' });
    await t.rejects(f.brakes.stop('demo', id, {}, CALLER), { code: 'NOT_FOUND' });
    await t.rejects(f.brakes.quarantine('demo', id, 'r', CALLER), { code: 'NOT_FOUND' });
  }
});

t.test('without a signer nothing starts, and everything stops', async (t) => {
  const f = await agentsFixture(t);
  const { agent: running } = await f.service.create('demo', { spec: { name: 'a' } }, CALLER);
  const { agent: idle } = await f.service.create('demo', { spec: { name: 'b' } }, CALLER);
  await f.start('demo', running.id, {}, CALLER);
  f.signer.down = true;
  await t.rejects(f.start('demo', idle.id, {}, CALLER), { code: 'SIGNER_UNAVAILABLE' });
  t.equal((await f.lists.status('demo', idle.id)).status, 'stopped');
  t.match(await f.brakes.stop('demo', running.id, {}, CALLER), { status: 'stopped' });
  t.match((await f.events()).at(-1), { event_type: 'agent.stopped', sign_mode: 'deferred' });
});

t.test('a damaged spec cannot say how many replicas run', async (t) => {
  const f = await agentsFixture(t);
  const { agent } = await f.service.create('demo', { spec: { name: 'a' } }, CALLER);
  await f.database.query(`UPDATE agent_specs SET spec = '{"name":"a","runtime":{"replicas":1e9}}'`);
  await t.rejects(f.start('demo', agent.id, {}, CALLER), { code: 'UNPROCESSABLE' });
});
