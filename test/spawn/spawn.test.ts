import t from 'tap';

import { newId } from '../../src/ids.ts';
import { testService } from '../support/service.ts';

const SPAWN = '/api/v1/agent/spawn';
const { call, database } = await testService(t);

const spawn = (body: object, who = 'operator') => call(who, 'POST', SPAWN, body);
const agentOf = (workspaceId: string, id: unknown) =>
  call('kernel-admin', 'GET', `/v1/workspaces/${workspaceId}/agents/${id}`);

async function last(chain: string): Promise<{ type: string; payload: Record<string, unknown> }> {
  const { rows } = await database.query(
    'SELECT event_type AS type, payload FROM audit_events WHERE chain = $1 ORDER BY seq DESC LIMIT 1',
    [chain],
  );
  return rows[0];
}

async function deniedAccess(): Promise<number> {
  const { rows } = await database.query(
    `SELECT count(*)::int AS n FROM audit_events WHERE chain = '_system' AND event_type = 'access.denied'`,
  );
  return rows[0].n;
}

t.test('a config is spawned as it is', async (t) => {
  const config = { name: 'demo', profile: 'personal' };
  const spawned = await spawn({ agent_config: config });
  t.equal(spawned.status, 201, spawned.text);
  const { agent_id: id, ...rest } = spawned.body;
  t.same(rest, { status: 'stopped', mode: 'sandbox' });
  t.equal(spawned.headers.location, `/v1/workspaces/demo/agents/${id}`);
  t.match((await agentOf('demo', id)).body, { spec: config, status: 'stopped', createdBy: 'operator' });
  t.match(await last('demo'), { type: 'agent.created', payload: { agentId: id } });

  const refused = await spawn({ agent_config: { profile: 'personal' } });
  t.match(refused, { status: 400, body: { errors: [{ pointer: '/agent_config/name' }] } });
  t.match(await spawn({ agent_config: { name: 'a', tools: null } }), { status: 400 });
  t.match(await spawn({ agent_config: { name: 'a' }, actor: 'root' }), { status: 400 });
  t.match(await spawn({ agent_config: { name: 'a', profile: 'illuvrse' } }), {
    status: 403,
    body: { code: 'MANIFEST_REQUIRED' },
  });
});

t.test('a config is merged over a template, and the result is an agent spec', async (t) => {
  const config = { name: 'base', tools: ['a', 'b'], model: { provider: 'example', name: 'writer-1' } };
  const made = await call('operator', 'POST', '/api/v1/templates', {
    template_id: 'base',
    name: 'Base',
    agent_config: config,
  });
  t.equal(made.status, 201, made.text);
  const patch = { name: 'mine', tools: null, model: { temperature: 0.3 } };
  const spawned = await spawn({ template_id: 'base', agent_config: patch });
  t.equal(spawned.status, 201, spawned.text);
  t.same((await agentOf('demo', spawned.body.agent_id)).body.spec, {
    name: 'mine',
    model: { provider: 'example', name: 'writer-1', temperature: 0.3 },
  });
  t.match(await last('demo'), { payload: { template: { templateId: 'base', version: 1 } } });

  t.match(await spawn({ template_id: 'base', agent_config: {} }), { status: 201 }, 'the template as it is');
  const nameless = await spawn({ template_id: 'base', agent_config: { name: null } });
  t.match(nameless, { status: 400, body: { errors: [{ pointer: '/agent_config/name' }] } });
  const wrong = await spawn({ template_id: 'base', agent_config: { model: { temperature: 9 } } });
  t.match(wrong, { status: 400, body: { errors: [{ pointer: '/agent_config/model/temperature' }] } });
  t.match(await spawn({ template_id: 'nothing', agent_config: {} }), { status: 404, body: { code: 'NOT_FOUND' } });
  t.match(await spawn({ template_id: 'base', agent_config: {} }, 'outsider'), { status: 404 }, "another's template");
});

t.test('the workspace is named, or the only one', async (t) => {
  const body = { agent_config: { name: 'a' } };
  const elsewhere = await spawn({ ...body, workspace_id: 'other' }, 'kernel-admin');
  t.equal((await agentOf('other', elsewhere.body.agent_id)).status, 200);
  t.match(await spawn(body, 'kernel-admin'), { status: 400, body: { errors: [{ pointer: '/workspace_id' }] } });

  const before = await deniedAccess();
  const foreign = await spawn({ ...body, workspace_id: 'other' });
  const nowhere = await spawn({ ...body, workspace_id: 'nowhere' });
  const impossible = await spawn({ ...body, workspace_id: '../demo' });
  for (const answer of [foreign, nowhere, impossible]) {
    t.match(answer, { status: 404, body: { code: 'NOT_FOUND', detail: foreign.body.detail } });
  }
  t.equal(await deniedAccess(), before + 3);
  t.match(await spawn({ ...body, workspace_id: 'nowhere' }, 'kernel-admin'), { status: 404 });
});

t.test('started, scaled and stopped by its id alone', async (t) => {
  const { agent_id: id } = (await spawn({ agent_config: { name: 'runs' } })).body;
  const act = (action: string, body: object = {}, who = 'operator') =>
    call(who, 'POST', `/api/v1/agent/${id}/${action}`, body);

  t.match(await act('scale', { replicas: 2 }), { status: 409, body: { code: 'AGENT_NOT_RUNNING' } });

  const started = await act('start', { replicas: 2 });
  t.equal(started.status, 200, started.text);
  t.match(started.body, {
    success: true,
    agent_id: id,
    status: 'running',
    managed: false,
    admission: { policy_hash: /^sha256:/, interceptors: [] },
    decision_id: /^[0-9a-f-]{36}$/,
    audit_event: { chain: 'demo' },
  });
  t.equal(started.body.admission.checks.length, 7);
  const again = await act('start');
  t.same(again.body, { success: true, agent_id: id, status: 'running', managed: false, already_running: true });

  const more = await act('scale', { replicas: 5 });
  t.match(more, { status: 200, body: { success: true, status: 'running', replicas: 5, previous_replicas: 2 } });
  t.match(await last('demo'), {
    type: 'agent.scaled',
    payload: { agentId: id, decisionId: more.body.decision_id, replicas: 5, previousReplicas: 2 },
  });
  const { rows } = await database.query('SELECT kind, action, effect FROM decisions WHERE id = $1', [
    more.body.decision_id,
  ]);
  t.same(rows, [{ kind: 'scale', action: 'agent.scale', effect: 'ALLOW' }]);
  t.match((await agentOf('demo', id)).body, { desiredReplicas: 5, readyReplicas: 5, status: 'running' });

  const fewer = await act('scale', { replicas: 1 });
  t.match(fewer, { status: 200, body: { replicas: 1, previous_replicas: 5, audit_event: { chain: 'demo' } } });
  t.notOk('decision_id' in fewer.body, 'nothing was decided');
  t.same((await act('scale', { replicas: 1 })).body.audit_event, null, 'it has as many already');
  for (const replicas of [0, 101, 1.5, '1']) t.equal((await act('scale', { replicas })).status, 400, String(replicas));

  const stopped = await act('stop', { reason: 'enough' });
  t.match(stopped, { status: 200, body: { success: true, agent_id: id, status: 'stopped' } });
  t.same((await act('stop')).body.audit_event, null);
});

t.test('more replicas need what a start needs', async (t) => {
  const { agent_id: id } = (await spawn({ agent_config: { name: 'late' } })).body;
  const act = (action: string, body: object = {}) => call('operator', 'POST', `/api/v1/agent/${id}/${action}`, body);
  await act('start', { replicas: 3 });
  await database.query(
    `UPDATE agent_specs SET spec = '{"name":"x","containment":{"externalCalls":true}}' WHERE agent_id = $1`,
    [id],
  );
  const denied = await act('scale', { replicas: 4 });
  t.match(denied, { status: 403, body: { code: 'ADMISSION_DENIED', denies: [{ check: 'sandboxContainment' }] } });
  t.match(await last('demo'), { type: 'agent.start.denied', payload: { decisionId: denied.body.decisionId } });
  t.match((await agentOf('demo', id)).body, { desiredReplicas: 3, status: 'running' }, 'as it was');
  t.match(await act('scale', { replicas: 2 }), { status: 200 }, 'fewer need nobody');
});

t.test("another's agent and no agent look the same", async (t) => {
  const { agent_id: id } = (await spawn({ agent_config: { name: 'mine' } })).body;
  for (const action of ['start', 'stop', 'scale']) {
    const body = action === 'scale' ? { replicas: 1 } : {};
    const before = await deniedAccess();
    const foreign = await call('outsider', 'POST', `/api/v1/agent/${id}/${action}`, body);
    t.equal(await deniedAccess(), before + 1);
    const nobody = await call('outsider', 'POST', `/api/v1/agent/${newId()}/${action}`, body);
    const odd = await call('outsider', 'POST', `/api/v1/agent/nobody/${action}`, body);
    const { instance: _, ...visible } = foreign.body;
    for (const answer of [foreign, nobody, odd]) t.match(answer, { status: 404, body: visible });
    t.match(await call('agent', 'POST', `/api/v1/agent/${id}/${action}`, body), { status: 403 });
    t.match(await call('auditor', 'POST', `/api/v1/agent/${id}/${action}`, body), { status: 403 });
  }
});

t.test('a repeated request has one effect, and its answer needs the workspace as the first did', async (t) => {
  const key = { 'idempotency-key': newId() };
  const body = { agent_config: { name: 'once' } };
  const first = await call('operator', 'POST', SPAWN, body, key);
  const second = await call('operator', 'POST', SPAWN, body, key);
  t.same([second.status, second.text], [201, first.text]);
  t.equal(second.headers['idempotent-replayed'], 'true');
  const path = `/api/v1/agent/${first.body.agent_id}/start`;
  const started = await call('operator', 'POST', path, {}, key);
  t.same((await call('operator', 'POST', path, {}, key)).text, started.text);
  t.match(await call('operator', 'POST', SPAWN, { agent_config: { name: 'two' } }, key), { status: 422 });
});
