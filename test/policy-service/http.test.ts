import t from 'tap';

import { tarball } from '../policy/tarballs.ts';
import { type TestService, testService } from '../support/service.ts';
import cases from './unusable.json' with { type: 'json' };

const SPEC = {
  name: 'reader',
  model: { provider: 'example', name: 'writer-1', temperature: 0.3 },
  instructions: 'Read and summarize.',
  capabilities: ['search'],
  budget: { monthlyUsd: 100 },
};
const POLICY = '/v1/workspaces/demo/policy';

const one = await testService(t);
const two = await testService(t, { replicaOf: one });

/** Denies promotion and revalidation of agents with that capability. */
function forbidding(capability: string): string {
  return `package castellan.promotion

deny contains {"code": "INVALID_CAPABILITIES", "reason": "not here"} if {
	"${capability}" in input.agent.spec.capabilities
}
`;
}

async function expect(status: number, at: TestService, method: string, path: string, body?: unknown) {
  const answer = await at.call('kernel-admin', method, path, body);
  if (answer.status !== status) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
  return answer;
}

async function activate(module: string, more: object = {}) {
  const bundle = { modules: { 'promotion.rego': module }, data: {} };
  return (await expect(200, one, 'POST', `${POLICY}/hotreload`, { policySet: 'default', bundle, ...more })).body;
}

async function sandboxAgent(): Promise<string> {
  const { body } = await expect(201, one, 'POST', '/v1/workspaces/demo/agents', { spec: SPEC });
  return `/v1/workspaces/demo/agents/${body.id}`;
}

async function governedAgent(): Promise<string> {
  const agent = await sandboxAgent();
  const { body } = await expect(200, one, 'POST', `${agent}/promote`);
  if (body.success !== true) throw new Error(JSON.stringify(body));
  return agent;
}

async function rejections(): Promise<number> {
  const { rows } = await one.database.query(
    "SELECT count(*)::int AS n FROM audit_events WHERE chain = 'demo' AND event_type = 'policy.rejected'",
  );
  return rows[0].n;
}

t.test('a tarball and its files are the same policy', async (t) => {
  const module = forbidding('nothing');
  const data = { castellan: { limit: 3 } };
  const bundle = { modules: { 'promotion.rego': module }, data };
  const first = await expect(200, one, 'POST', `${POLICY}/hotreload`, { policySet: 'default', bundle });
  const packed = await tarball([
    { name: '/promotion.rego', content: module },
    { name: '/promotion_test.rego', content: 'package castellan.promotion_test\n' },
    { name: '/castellan/data.json', content: '{"limit":3}' },
  ]);
  const second = await expect(200, two, 'POST', `${POLICY}/hotreload`, {
    policySet: 'default',
    bundle: { tarball: packed },
  });
  t.equal(second.body.newHash, first.body.newHash);
  t.equal(second.body.oldHash, first.body.newHash);
});

t.test('what cannot be used is 422 with its place, recorded, and the active version stays', async (t) => {
  for (const { why, errors, ...given } of cases) {
    await t.test(why, async (t) => {
      const active = (await expect(200, one, 'GET', `${POLICY}/snapshot`)).body.hash;
      const before = await rejections();
      const answer = await one.call('kernel-admin', 'POST', `${POLICY}/hotreload`, await bodyOf(given));
      t.equal(answer.status, 422, answer.text);
      t.match(answer.body, { code: 'POLICY_INVALID', errors });
      t.equal(await rejections(), before + 1);
      t.equal((await expect(200, two, 'GET', `${POLICY}/snapshot`)).body.hash, active);
    });
  }
  const elsewhere = `{"policySet":"default","bundle":{"modules":{},"data":{}},"reason":9007199254740993}`;
  t.equal((await one.call('kernel-admin', 'POST', `${POLICY}/hotreload`, elsewhere)).status, 400, 'no data');
  const syntax = await one.call('kernel-admin', 'POST', `${POLICY}/hotreload`, '{"bundle":{"data":{"a":1e400,"a":2}}}');
  t.match(syntax, { status: 400, body: { code: 'MALFORMED_JSON' } }, 'everything else is as strict as ever');
  const rollback = await one.call('kernel-admin', 'POST', `${POLICY}/rollback`, '{"version":9007199254740993}');
  t.match(rollback, { status: 400, body: { code: 'MALFORMED_JSON' } }, 'other routes are as strict as ever');
});

async function bodyOf(given: { bundle?: unknown; number?: string; files?: object }): Promise<unknown> {
  const { bundle, number, files } = given;
  const policySet = 'default';
  if (bundle !== undefined) return { policySet, bundle };
  const modules = { 'promotion.rego': forbidding('nothing') };
  if (number !== undefined) {
    return JSON.stringify({ policySet, bundle: { modules, data: { limit: '#' } } }).replace('"#"', number);
  }
  const entries = Object.entries({ ...modules, ...files }).map(([name, content]) => ({ name, content }));
  return { policySet, bundle: { tarball: await tarball(entries) } };
}

t.test('what one replica activates the other decides by at once', async (t) => {
  await activate(forbidding('nothing'));
  const agent = await sandboxAgent();
  await activate(forbidding('search'));
  const { body } = await expect(200, two, 'POST', `${agent}/promote`);
  t.match(body, { success: false, denies: [{ code: 'INVALID_CAPABILITIES' }] });
});

t.test('reload, revalidate, look, roll back, release', async (t) => {
  await activate(forbidding('nothing'));
  const agent = await governedAgent();
  const agentId = agent.split('/').at(-1);
  const snapshot = await expect(200, one, 'GET', `${POLICY}/snapshot`);
  const etag = String(snapshot.headers.etag);
  t.equal(etag, `"${snapshot.body.hash}.${snapshot.body.revision}"`);
  const same = await two.call('operator', 'GET', `${POLICY}/snapshot`, undefined, { 'if-none-match': etag });
  t.match(same, { status: 304, text: '' });

  const restricted = await activate(forbidding('search'), { revalidate: false });
  t.match(restricted, { revalidated: 0, revalidation: { id: null, state: 'done' } });
  const { governance } = (await expect(200, one, 'GET', `${agent}/governance`)).body;
  t.match(governance, { status: 'GOVERNED_RESTRICTED', currentPolicyHash: restricted.newHash });

  const { body } = await expect(200, two, 'POST', `${POLICY}/revalidate`, { agentIds: [agentId] });
  t.match(body, {
    results: [{ agentId, status: 'GOVERNED_INVALIDATED', denies: [{ code: 'INVALID_CAPABILITIES' }] }],
    revalidation: { state: 'done', total: 1, done: 1, invalidated: 1 },
  });
  const progress = await expect(200, one, 'GET', `${POLICY}/revalidations/${body.revalidation.id}`);
  t.match(progress.body, { ...body.revalidation, cause: 'request', policyHash: restricted.newHash });
  await expect(404, one, 'GET', `${POLICY}/revalidations/01890000-0000-7000-8000-000000000000`);
  await expect(404, one, 'POST', `${POLICY}/revalidate`, { agentIds: ['nobody'] });
  t.equal((await one.call('operator', 'POST', `${POLICY}/revalidate`)).status, 403);
  const changed = await two.call('operator', 'GET', `${POLICY}/snapshot`, undefined, { 'if-none-match': etag });
  t.match(changed, { status: 200, body: { invalidatedAgents: [agentId], invalidatedTotal: 1 } });

  const versions: { version: number; hash: string; state: string }[] = [];
  for (let cursor = ''; ; ) {
    const page = (await expect(200, two, 'GET', `${POLICY}/versions?limit=2${cursor}`)).body;
    versions.push(...page.versions);
    if (page.nextCursor === null) break;
    cursor = `&cursor=${page.nextCursor}`;
  }
  t.same(
    versions.filter(({ state }) => state === 'active').map(({ hash }) => hash),
    [restricted.newHash],
  );
  const version = versions.find(({ hash }) => hash === restricted.oldHash)?.version;
  const back = (await expect(200, one, 'POST', `${POLICY}/rollback`, { version, reason: 'too tight' })).body;
  t.match(back, { oldHash: restricted.newHash, newHash: restricted.oldHash, revalidation: { state: 'done' } });
  t.equal((await two.call('operator', 'POST', `${agent}/start`)).status, 403, 'only a release brings it back');
  await expect(200, two, 'POST', `${agent}/release`, { reason: 'the policy was wrong' });
  t.equal((await two.call('operator', 'POST', `${agent}/start`)).status, 200);
});

t.test('a head put back by SQL decides nothing, whatever the replicas have loaded', async (t) => {
  const { newHash: old } = await activate(forbidding('nothing'));
  const agent = await sandboxAgent();
  const other = await sandboxAgent();
  await expect(200, two, 'POST', `${other}/promote`);
  const head = async () => (await one.database.query("SELECT * FROM policy_heads WHERE workspace_id = 'demo'")).rows[0];
  const before = await head();
  await activate(forbidding('search'));
  const after = await head();
  const put = ({ version, hash, activation_seq }: typeof before) =>
    one.database.query(
      "UPDATE policy_heads SET version = $1, hash = $2, activation_seq = $3 WHERE workspace_id = 'demo'",
      [version, hash, activation_seq],
    );
  t.equal(before.hash, old);
  for (const edited of [before, { ...before, activation_seq: after.activation_seq }]) {
    await put(edited);
    for (const replica of [one, two]) {
      t.match(await replica.call('kernel-admin', 'POST', `${agent}/promote`), {
        status: 503,
        body: { code: 'POLICY_UNAVAILABLE' },
      });
      const start = await replica.call('operator', 'POST', `${agent}/start`);
      t.match(start, { status: 403, body: { denies: [{ code: 'INTERCEPTOR_ERROR' }] } });
    }
  }
  await put(after);
  t.match((await expect(200, two, 'POST', `${agent}/promote`)).body, { success: false });
});
