import t from 'tap';

import { agentsFixture, NOBODY, POLICY_HASH } from './fixture.ts';

const AGENTS = '/v1/workspaces/demo/agents';

t.test('agents over HTTP', async (t) => {
  const f = await agentsFixture(t);
  const app = await f.api();
  const call = async (method: 'GET' | 'POST' | 'PATCH' | 'DELETE', url: string, body?: object, headers = {}) => {
    const payload = body === undefined ? {} : { payload: body };
    const response = await app.inject({ method, url, headers, ...payload });
    return {
      status: response.statusCode,
      headers: response.headers,
      body: response.body === '' ? null : response.json(),
    };
  };

  t.test('create, read, patch by ETag', async (t) => {
    const spec = { name: 'a', model: { temperature: 0.1 }, runtime: { env: { A: 'x' } } };
    const made = await call('POST', AGENTS, { spec, ttlSeconds: 60 });
    t.match(made, { status: 201, headers: { etag: '"1"' }, body: { mode: 'sandbox', status: 'stopped', spec } });
    const url = `${AGENTS}/${made.body.id}`;
    t.equal(made.headers.location, url);
    const read = await call('GET', url);
    t.strictSame(read.body, made.body);
    t.equal((await call('GET', url, undefined, { 'if-none-match': '"1"' })).status, 304);

    const body = { spec: { description: 'd' } };
    const type = { 'content-type': 'application/merge-patch+json' };
    t.match(await call('PATCH', url, body, { ...type, 'if-match': '"7"' }), { status: 412 });
    t.match(await call('PATCH', url, body, { ...type, 'if-match': '"1"' }), {
      status: 200,
      headers: { etag: '"2"' },
      body: { spec: { ...spec, description: 'd' }, specVersion: 2 },
    });
    t.match(await call('PATCH', url, { spec: { model: null } }), { status: 200, body: { specVersion: 3 } });
    t.match(await call('PATCH', url, { spec: { model: 1 } }), {
      status: 400,
      body: { errors: [{ pointer: '/spec/model' }] },
    });
    t.match(await call('GET', `${url}/versions?limit=2`), {
      status: 200,
      body: { versions: [{ version: 1, spec }, { version: 2 }], nextCursor: /./ },
    });
    t.match(await call('POST', `${url}/fork`), { status: 201, body: { forkedFrom: { specVersion: 3 } } });
    t.match(await call('POST', `${url}/fork`, { name: 'f' }), { status: 201, body: { name: 'f' } });
    t.equal((await call('DELETE', url)).status, 204);
    t.equal((await call('GET', url)).status, 404);
  });

  t.test('bodies are closed and exact', async (t) => {
    const bad = [
      {},
      { spec: {} },
      { spec: { name: 'a', extra: 1 } },
      { spec: { name: 'a' }, actor: 'me' },
      { spec: { name: 'a' }, ttlSeconds: 0 },
      { spec: { name: 'a' }, ttlSeconds: 2_592_001 },
      { spec: { name: 'a' }, ttlSeconds: '60' },
    ];
    for (const body of bad) t.equal((await call('POST', AGENTS, body)).status, 400, JSON.stringify(body));
    t.match(await call('POST', AGENTS, { spec: { name: 'a', profile: 'illuvrse' } }), {
      status: 403,
      body: { code: 'MANIFEST_REQUIRED' },
    });
    const exact = await app.inject({
      method: 'POST',
      url: AGENTS,
      headers: { 'content-type': 'application/json' },
      payload: '{"spec":{"name":"a","budget":{"monthlyUsd":-0}}}',
    });
    t.equal(exact.statusCode, 400, 'what JSON.parse would change is refused');
    for (const query of ['limit=501', 'limit=0', 'nope=1', 'status=odd', 'cursor=!']) {
      t.equal((await call('GET', `${AGENTS}?${query}`)).status, 400, query);
    }
  });

  t.test('start, status, stop, governance', async (t) => {
    const { body: agent } = await call('POST', AGENTS, { spec: { name: 'a' } });
    const url = `${AGENTS}/${agent.id}`;
    const started = await call('POST', `${url}/start`, { replicas: 2 });
    t.match(started, {
      status: 200,
      body: { success: true, agentId: agent.id, status: 'running', managed: false, decisionId: /./ },
    });
    t.match(started.body.admission, { policyHash: POLICY_HASH, interceptors: [] });
    t.match(started.body.auditEvent, { chain: 'demo', hash: /^[0-9a-f]{64}$/ });
    t.match(await call('POST', `${url}/start`), { status: 200, body: { alreadyRunning: true } });
    t.match(await call('GET', `${url}/status`), { status: 200, body: { agentId: agent.id, readyReplicas: 2 } });
    t.match(await call('GET', `${AGENTS}/statuses?page=1&status=running`), {
      status: 200,
      body: { agents: [{ agentId: agent.id }], total: 1, nextCursor: null },
    });
    t.match(await call('DELETE', url), { status: 409, body: { code: 'AGENT_RUNNING' } });
    t.match(await call('POST', `${url}/stop`), {
      status: 200,
      body: { status: 'stopped', auditEvent: { chain: 'demo' } },
    });
    t.match(await call('POST', `${url}/stop`, { reason: 'x' }), { status: 200, body: { auditEvent: null } });
    t.strictSame((await call('GET', `${url}/governance`)).body, {
      governance: {
        mode: 'sandbox',
        status: 'SANDBOX',
        specHash: agent.specHash,
        policyHash: null,
        currentPolicyHash: POLICY_HASH,
        proof: null,
      },
    });
    for (const replicas of [0, 101, 1.5]) t.equal((await call('POST', `${url}/start`, { replicas })).status, 400);
  });

  t.test('a denied start is a problem with its denials', async (t) => {
    const { body: agent } = await call('POST', AGENTS, { spec: { name: 'a' } });
    const url = `${AGENTS}/${agent.id}`;
    t.equal((await call('POST', `${url}/quarantine`, { reason: 'r' })).status, 403, 'an operator may not');
    const admin = { 'x-as': 'kernel-admin@demo' };
    t.match(await call('POST', `${url}/quarantine`, { reason: 'r' }, admin), {
      status: 200,
      body: { status: 'quarantined' },
    });
    const denied = await call('POST', `${url}/start`);
    t.match(denied, {
      status: 403,
      body: {
        code: 'AGENT_QUARANTINED',
        decisionId: /./,
        denies: [{ code: 'AGENT_QUARANTINED', severity: 'DENY', check: 'quarantine' }],
        auditEvent: { chain: 'demo' },
      },
    });
  });

  t.test('a governed agent', async (t) => {
    const { body: agent } = await call('POST', AGENTS, { spec: { name: 'a' } });
    const url = `${AGENTS}/${agent.id}`;
    await f.database.query(
      `INSERT INTO agent_proofs (workspace_id, id, agent_id, envelope, spec_version, spec_hash, policy_hash, signer_id,
         promotion_id, issued_at, expires_at)
       VALUES ('demo', $1, $1, '{"payloadType":"t"}', 1, $2, $3, 's', $1, now(), now())`,
      [agent.id, agent.specHash, POLICY_HASH],
    );
    await f.database.query(`UPDATE agents SET mode = 'governed', expires_at = NULL, proof_id = id WHERE id = $1`, [
      agent.id,
    ]);
    const governance = async () => (await call('GET', `${url}/governance`)).body.governance;
    t.match(await governance(), { status: 'GOVERNED_VALID', proof: { payloadType: 't' }, policyHash: POLICY_HASH });
    t.match(await call('PATCH', url, { spec: { name: 'b' } }), {
      status: 409,
      body: { code: 'SPEC_FROZEN', detail: /fork/ },
    });
    await f.database.query('UPDATE agent_proofs SET policy_hash = $1', [`sha256:${'2'.repeat(64)}`]);
    t.match(await governance(), { status: 'GOVERNED_RESTRICTED' });
    const invalidation = {
      at: '2026-01-01T00:00:00.000Z',
      denies: [{ code: 'X', reason: 'r', severity: 'DENY', check: 'c' }],
    };
    await f.database.query('UPDATE agents SET invalidation = $1 WHERE id = $2', [
      JSON.stringify(invalidation),
      agent.id,
    ]);
    t.match(await governance(), { status: 'GOVERNED_INVALIDATED', invalidation });
  });

  t.test('batches', async (t) => {
    const { body: agent } = await call('POST', AGENTS, { spec: { name: 'a' } });
    const batch = (action: string, agentIds: string[]) => call('POST', `${AGENTS}:batch`, { action, agentIds });
    t.match(await batch('start', [agent.id, NOBODY]), {
      status: 200,
      body: {
        results: [
          { agentId: agent.id, success: true, status: 'running' },
          { agentId: NOBODY, success: false, code: 'NOT_FOUND' },
        ],
      },
    });
    t.equal((await batch('start', [])).status, 400);
    t.equal((await batch('start', [agent.id, agent.id])).status, 400);
    t.equal((await batch('explode', [agent.id])).status, 400);
    t.equal(
      (
        await batch(
          'stop',
          Array.from({ length: 201 }, (_, n) => `${n}`),
        )
      ).status,
      400,
    );
  });

  t.test('who may', async (t) => {
    t.equal((await call('GET', AGENTS, undefined, { 'x-as': 'operator@other' })).status, 404);
    t.equal((await call('GET', AGENTS, undefined, { 'x-as': 'auditor@demo' })).status, 200);
    t.equal((await call('POST', AGENTS, { spec: { name: 'a' } }, { 'x-as': 'auditor@demo' })).status, 403);
    t.equal((await call('GET', '/v1/workspaces/none/agents', undefined, { 'x-as': 'auditor@*' })).status, 404);
  });
});
