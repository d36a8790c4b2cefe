import t from 'tap';

import { sha256Digest } from '../../src/crypto/digest.ts';
import { agentsFixture, CALLER, NOBODY } from './fixture.ts';

const anyVersion = () => undefined;

t.test('an agent is created with its spec as sent', async (t) => {
  const f = await agentsFixture(t);
  const spec = { name: 'é', budget: { monthlyUsd: 0.1 }, capabilities: ['b', 'a'] };
  const { agent, rowVersion } = await f.service.create('demo', { spec, ttlSeconds: 60 }, CALLER);
  t.match(agent, { mode: 'sandbox', status: 'stopped', managed: false, specVersion: 1, createdBy: CALLER.id, spec });
  t.equal(agent.specHash, sha256Digest('{"budget":{"monthlyUsd":0.1},"capabilities":["b","a"],"name":"é"}'));
  t.equal(agent.expiresAt, new Date(f.time.now + 60_000).toISOString());
  t.equal(rowVersion, 1);
  t.match((await f.events()).at(-1), {
    event_type: 'agent.created',
    payload: { agentId: agent.id, specVersion: 1, specHash: agent.specHash, expiresAt: agent.expiresAt },
  });
  const { rows } = await f.database.query(
    `SELECT spec_bytes, convert_from(spec_bytes, 'UTF8')::jsonb = spec AS equal FROM agent_specs`,
  );
  t.equal(sha256Digest(rows[0].spec_bytes), agent.specHash);
  t.equal(rows[0].equal, true);
  const { rows: directory } = await f.database.query('SELECT agent_id, workspace_id FROM agent_directory');
  t.strictSame(directory, [{ agent_id: agent.id, workspace_id: 'demo' }]);

  const { agent: fallback } = await f.service.create('demo', { spec: { name: 'b' } }, CALLER);
  t.equal(fallback.expiresAt, new Date(f.time.now + 86_400_000).toISOString(), 'a day unless said otherwise');
  await t.rejects(f.service.create('none', { spec }, CALLER), { code: 'NOT_FOUND' });
});

t.test('a patch makes a new version', async (t) => {
  const f = await agentsFixture(t);
  const { agent } = await f.service.create('demo', { spec: { name: 'a', tools: ['x'], description: 'd' } }, CALLER);
  const patch = { name: 'b', description: null, runtime: { replicas: 2 } };
  const patched = await f.service.patch('demo', agent.id, { spec: patch }, anyVersion, CALLER);
  t.strictSame(patched.agent.spec, { name: 'b', runtime: { replicas: 2 }, tools: ['x'] });
  t.match(patched, { rowVersion: 2, agent: { name: 'b', specVersion: 2 } });
  t.match((await f.events()).at(-1), {
    event_type: 'agent.updated',
    payload: { specVersion: 2, specHash: patched.agent.specHash, previousSpecHash: agent.specHash },
  });
  t.match((await f.lists.agents('demo', { search: 'B' })).agents, [{ id: agent.id }], 'found by the new name');

  const events = (await f.events()).length;
  const same = await f.service.patch('demo', agent.id, { spec: { name: 'b' } }, anyVersion, CALLER);
  t.match(same, { rowVersion: 2, agent: { specVersion: 2 } }, 'an equal spec is no new version');
  t.equal((await f.events()).length, events);

  const first = await f.lists.versions('demo', agent.id, { limit: 1 });
  t.match(first.versions, [{ version: 1, specHash: agent.specHash, spec: { name: 'a' } }]);
  const rest = await f.lists.versions('demo', agent.id, { limit: 1, cursor: first.nextCursor ?? '' });
  t.match(rest, { versions: [{ version: 2, specHash: patched.agent.specHash }], nextCursor: null });

  const refuse = (spec: unknown) => f.service.patch('demo', agent.id, { spec }, anyVersion, CALLER);
  await t.rejects(refuse({ name: null }), {
    code: 'VALIDATION_FAILED',
    members: { errors: [{ pointer: '/spec/name' }] },
  });
  await t.rejects(refuse({ nope: 1 }), { code: 'VALIDATION_FAILED', members: { errors: [{ pointer: '/spec/nope' }] } });
  await t.rejects(refuse({ profile: 'illuvrse' }), { code: 'MANIFEST_REQUIRED' });
  await t.rejects(refuse({ budget: { monthlyUsd: -0 } }), { code: 'SPEC_NOT_CANONICAL' });
  await f.start('demo', agent.id, {}, CALLER);
  await t.rejects(refuse({ description: 'e' }), { code: 'AGENT_RUNNING' });
  await f.brakes.stop('demo', agent.id, {}, CALLER);
  await f.database.query(`UPDATE agents SET mode = 'governed', expires_at = NULL`);
  await t.rejects(refuse({ description: 'e' }), { code: 'SPEC_FROZEN', message: /fork/ });
});

t.test('a fork is a new sandbox agent', async (t) => {
  const f = await agentsFixture(t);
  const { agent } = await f.service.create('demo', { spec: { name: 'a', tools: ['x'] } }, CALLER);
  await f.service.patch('demo', agent.id, { spec: { tools: ['y'] } }, anyVersion, CALLER);
  await f.database.query(`UPDATE agents SET mode = 'governed', expires_at = NULL, status = 'quarantined'`);

  const { agent: fork } = await f.service.fork('demo', agent.id, { name: 'c', ttlSeconds: 5 }, CALLER);
  t.match(fork, {
    mode: 'sandbox',
    status: 'stopped',
    specVersion: 1,
    spec: { name: 'c', tools: ['y'] },
    forkedFrom: { agentId: agent.id, specVersion: 2 },
  });
  t.match((await f.events()).at(-1), {
    event_type: 'agent.forked',
    payload: { agentId: fork.id, from: { agentId: agent.id, specVersion: 2 } },
  });
  const same = await f.service.fork('demo', agent.id, {}, CALLER);
  t.equal(same.agent.specHash, (await f.service.get('demo', agent.id)).agent.specHash);

  await f.database.query(`UPDATE agent_specs SET spec_bytes = '{"name":"evil"}' WHERE version = 2`);
  await t.rejects(
    f.service.fork('demo', agent.id, {}, CALLER),
    { code: 'UNPROCESSABLE' },
    'damaged specs do not spread',
  );
});

t.test('a spec of the Kernel’s profile is refused wherever it comes from', async (t) => {
  const f = await agentsFixture(t);
  const spec = { name: 'a', profile: 'illuvrse' };
  await t.rejects(f.service.create('demo', { spec }, CALLER), { code: 'MANIFEST_REQUIRED' });
  const { agent } = await f.service.create('demo', { spec: { name: 'a' } }, CALLER);
  const bytes = Buffer.from('{"name":"a","profile":"illuvrse"}');
  await f.database.query('UPDATE agent_specs SET spec_bytes = $1, spec_hash = $2', [bytes, sha256Digest(bytes)]);
  await f.database.query('UPDATE agents SET spec_hash = $1', [sha256Digest(bytes)]);
  await t.rejects(f.service.fork('demo', agent.id, {}, CALLER), { code: 'MANIFEST_REQUIRED' });
});

t.test('deleting', async (t) => {
  const f = await agentsFixture(t);
  const { agent } = await f.service.create('demo', { spec: { name: 'a' } }, CALLER);
  await f.start('demo', agent.id, {}, CALLER);
  await t.rejects(f.service.remove('demo', agent.id, CALLER), { code: 'AGENT_RUNNING' });
  await f.brakes.stop('demo', agent.id, {}, CALLER);
  await f.service.remove('demo', agent.id, CALLER);
  await t.rejects(f.service.get('demo', agent.id), { code: 'NOT_FOUND' });
  await t.rejects(f.service.remove('demo', agent.id, CALLER), { code: 'NOT_FOUND' });
  t.match(await f.lists.versions('demo', agent.id, {}), { versions: [{ version: 1 }] }, 'the specs stay as evidence');
  const { rows } = await f.database.query('SELECT * FROM agent_directory');
  t.strictSame(rows, []);
  t.match((await f.events()).at(-1), { event_type: 'agent.deleted', payload: { agentId: agent.id, mode: 'sandbox' } });
});

t.test('the agents of another workspace do not exist', async (t) => {
  const f = await agentsFixture(t);
  const { agent } = await f.service.create('other', { spec: { name: 'a' } }, CALLER);
  for (const id of [agent.id, NOBODY, 'not-an-id']) {
    await t.rejects(f.service.get('demo', id), { code: 'NOT_FOUND' });
    await t.rejects(f.service.patch('demo', id, { spec: { name: 'b' } }, anyVersion, CALLER), { code: 'NOT_FOUND' });
    await t.rejects(f.service.fork('demo', id, {}, CALLER), { code: 'NOT_FOUND' });
    await t.rejects(f.service.remove('demo', id, CALLER), { code: 'NOT_FOUND' });
    await t.rejects(f.lists.versions('demo', id, {}), { code: 'NOT_FOUND' });
    await t.rejects(f.lists.status('demo', id), { code: 'NOT_FOUND' });
  }
  t.match(await f.lists.agents('demo', {}), { agents: [], total: 0 });
  t.match(await f.lists.statuses('demo', {}), { agents: [], total: 0 });
});

t.test('expiry stops what runs past its time, once', async (t) => {
  const f = await agentsFixture(t);
  const make = async (workspaceId: string, ttlSeconds: number) =>
    (await f.service.create(workspaceId, { spec: { name: 'a' }, ttlSeconds }, CALLER)).agent;
  const due = [await make('demo', 10), await make('demo', 10), await make('other', 10)];
  const later = await make('demo', 11);
  const idle = await make('demo', 10);
  for (const agent of [...due, later]) await f.start(agent.workspaceId, agent.id, {}, CALLER);

  t.strictSame(await f.expireDue(10), { expired: 0, failed: 0 });
  f.time.now += 10_000;
  const rounds = await Promise.all([f.expireDue(10), f.replica().expireDue(10)]);
  t.equal(rounds[0].expired + rounds[1].expired, 3, 'two replicas stop each agent once');
  for (const agent of due) t.equal((await f.lists.status(agent.workspaceId, agent.id)).status, 'stopped');
  t.equal((await f.lists.status('demo', later.id)).status, 'running');
  const expired = [...(await f.events()), ...(await f.events('other'))].filter((e) => e.event_type === 'agent.expired');
  t.strictSame(expired.map((event) => event.payload['agentId']).sort(), due.map((agent) => agent.id).sort());
  t.match(expired[0]?.payload, { expiresAt: due[0]?.expiresAt, wasRunning: true });
  t.notOk(expired.some((event) => event.payload['agentId'] === idle.id));

  f.signer.down = true;
  f.time.now += 1_000;
  t.strictSame(await f.expireDue(10), { expired: 1, failed: 0 }, 'needs no signer');
  t.strictSame(await f.expireDue(10), { expired: 0, failed: 0 });
});

t.test('a round of expiry is bounded, the most overdue first', async (t) => {
  const f = await agentsFixture(t);
  const ids: string[] = [];
  for (const ttlSeconds of [3, 1, 2]) {
    const { agent } = await f.service.create('demo', { spec: { name: 'a' }, ttlSeconds }, CALLER);
    await f.start('demo', agent.id, {}, CALLER);
    ids.push(agent.id);
  }
  f.time.now += 60_000;
  t.match(await f.expireDue(2), { expired: 2 });
  t.match(await f.lists.statuses('demo', { status: 'running' }), { agents: [{ agentId: ids[0] }], total: 1 });
});

t.test('a batch has an outcome for each agent', async (t) => {
  const f = await agentsFixture(t);
  const ids: string[] = [];
  for (let n = 0; n < 40; n += 1) {
    ids.push((await f.service.create('demo', { spec: { name: `a${n}` } }, CALLER)).agent.id);
  }
  const [quarantined = '', ...others] = ids;
  await f.brakes.quarantine('demo', quarantined, 'odd', CALLER);
  const agentIds = [...others, quarantined, NOBODY, 'nonsense'];
  const started = await f.batch('demo', { action: 'start', agentIds }, CALLER);
  t.strictSame(
    started.map((one) => one.agentId),
    agentIds,
    'in the order asked for',
  );
  t.ok(started.slice(0, 39).every((one) => one.success && one.status === 'running'));
  t.match(started.slice(39), [
    { success: false, code: 'AGENT_QUARANTINED', denies: [{ code: 'AGENT_QUARANTINED' }], decisionId: /./ },
    { success: false, code: 'NOT_FOUND' },
    { success: false, code: 'NOT_FOUND' },
  ]);
  const deleted = await f.batch('demo', { action: 'delete', agentIds: ids }, CALLER);
  t.match(
    deleted.filter((one) => one.success),
    [{ agentId: quarantined }],
  );
  t.ok(deleted.slice(1).every((one) => one.code === 'AGENT_RUNNING'));
  t.ok((await f.batch('demo', { action: 'stop', agentIds: ids.slice(1) }, CALLER)).every((one) => one.success));
});
