import t from 'tap';

import { until } from '../support/process.ts';
import { type Answer, testService } from '../support/service.ts';

/** ms; by then every replica knows a workspace's ceiling. */
const EVERYWHERE_WITHIN = 5000;
const SETTINGS = '/v1/workspaces/demo/settings';
const AGENTS = '/v1/workspaces/demo/agents';
const DEFAULTS = {
  approvalsRequired: 0,
  reapproveOnPolicyChange: false,
  defaultTtlSeconds: 86_400,
  limits: {},
  sandbox: {},
};

const here = await testService(t);
const there = await testService(t, { replicaOf: here });

const patch = (body: unknown, headers = {}, who = 'kernel-admin') => here.call(who, 'PATCH', SETTINGS, body, headers);
const create = (at = here, body: object = {}) => at.call('operator', 'POST', AGENTS, { spec: { name: 'a' }, ...body });
const changes = async () =>
  (
    await here.database.query(
      `SELECT payload FROM audit_events WHERE chain = 'demo' AND event_type = 'workspace.settings.changed' ORDER BY seq`,
    )
  ).rows.map(({ payload }) => payload);

async function lifetime(body: object = {}): Promise<number> {
  const before = Date.now();
  const created = await create(here, body);
  t.equal(created.status, 201, created.text);
  return Math.round((Date.parse(created.body.expiresAt) - before) / 1000);
}

t.test('what a workspace says nothing about is as the service has it', async (t) => {
  const got = await here.call('operator', 'GET', SETTINGS);
  t.match(got, { status: 200, body: DEFAULTS });
  const etag = String(got.headers.etag);
  t.match(etag, /^"sha256:[0-9a-f]{64}"$/);
  t.equal((await here.call('auditor', 'GET', SETTINGS, undefined, { 'if-none-match': etag })).status, 304);
});

t.test('a merge patch sets, keeps and takes back, and each change is in the audit', async (t) => {
  const first = await patch({ approvalsRequired: 2, limits: { maxAgents: 5 } });
  t.match(first, { status: 200, body: { ...DEFAULTS, approvalsRequired: 2, limits: { maxAgents: 5 } } });
  const second = await patch({ limits: { requestsPerSecond: 900 }, reapproveOnPolicyChange: true });
  t.same(second.body.limits, { maxAgents: 5, requestsPerSecond: 900 });
  const back = await patch({ limits: { maxAgents: null }, approvalsRequired: null });
  t.same(back.body, { ...DEFAULTS, reapproveOnPolicyChange: true, limits: { requestsPerSecond: 900 } });
  const types = { 'content-type': 'application/merge-patch+json' };
  t.same((await patch({ limits: null, reapproveOnPolicyChange: null }, types)).body, DEFAULTS);
  t.match(await changes(), [
    { workspaceId: 'demo', settings: ['approvalsRequired', 'limits'], settingsDigest: digestOf(first) },
    { workspaceId: 'demo', settings: ['limits', 'reapproveOnPolicyChange'], settingsDigest: digestOf(second) },
    { workspaceId: 'demo', settings: ['approvalsRequired', 'limits'], settingsDigest: digestOf(back) },
    { workspaceId: 'demo', settings: ['limits', 'reapproveOnPolicyChange'] },
  ]);
});

t.test('a patch that changes nothing leaves nothing', async (t) => {
  const before = (await changes()).length;
  t.match(await patch({ approvalsRequired: null }), { status: 200, body: DEFAULTS });
  t.equal((await changes()).length, before);
});

t.test('If-Match holds the patch to what was read', async (t) => {
  const etag = String((await here.call('operator', 'GET', SETTINGS)).headers.etag);
  t.equal((await patch({ approvalsRequired: 1 }, { 'if-match': etag })).status, 200);
  t.match(await patch({ approvalsRequired: 3 }, { 'if-match': etag }), { status: 412 });
  t.equal((await here.call('operator', 'GET', SETTINGS)).body.approvalsRequired, 1);
  await patch({ approvalsRequired: null });
});

t.test('what is no setting, or out of its bounds, is refused', async (t) => {
  const bad: unknown[] = [
    {},
    [],
    { approvalsRequired: 11 },
    { approvalsRequired: -1 },
    { approvalsRequired: '1' },
    { defaultTtlSeconds: 0 },
    { defaultTtlSeconds: 2_592_001 },
    { limits: { maxAgents: 1.5 } },
    { limits: { requestsPerSecond: 0 } },
    { limits: { other: 1 } },
    { workspaceId: 'other' },
  ];
  for (const body of bad) t.equal((await patch(body)).status, 400, JSON.stringify(body));
  t.same((await here.call('operator', 'GET', SETTINGS)).body, DEFAULTS);
});

t.test('only an administrator of the workspace changes them', async (t) => {
  t.match(await patch({ approvalsRequired: 1 }, {}, 'operator'), { status: 403, body: { code: 'PERMISSION_DENIED' } });
  t.match(await patch({ approvalsRequired: 1 }, {}, 'outsider'), { status: 404, body: { code: 'NOT_FOUND' } });
  t.equal((await here.call('outsider', 'GET', SETTINGS)).status, 404);
  t.equal((await here.call('kernel-admin', 'GET', '/v1/workspaces/none/settings')).status, 404);
  t.equal((await here.call('kernel-admin', 'PATCH', '/v1/workspaces/none/settings', { limits: null })).status, 404);
  t.same((await here.call('operator', 'GET', SETTINGS)).body, DEFAULTS);
});

t.test('an agent whose creator names no lifetime has the one of the workspace', async (t) => {
  await patch({ defaultTtlSeconds: 600 });
  t.ok(Math.abs((await lifetime()) - 600) <= 5);
  t.ok(Math.abs((await lifetime({ ttlSeconds: 60 })) - 60) <= 5, 'the creator has the last word');
  await patch({ defaultTtlSeconds: null });
});

t.test('no more agents than the limit, however many are asked for at once', async (t) => {
  const { total } = (await here.call('operator', 'GET', AGENTS)).body;
  await patch({ limits: { maxAgents: total + 3 } });
  const answers = await Promise.all(Array.from({ length: 12 }, (_, n) => create(n % 2 === 0 ? here : there)));
  const made = answers.filter(({ status }) => status === 201);
  t.equal(made.length, 3);
  for (const refused of answers.filter(({ status }) => status !== 201)) {
    t.match(refused, { status: 409, body: { code: 'WORKSPACE_LIMIT_REACHED' } });
  }
  const one = `${AGENTS}/${made[0]?.body.id}`;
  t.match(await here.call('operator', 'POST', `${one}/fork`, {}), { status: 409 });
  t.equal((await here.call('operator', 'DELETE', one)).status, 204);
  t.equal((await create()).status, 201, 'there is room again');
  t.equal((await here.call('operator', 'GET', AGENTS)).body.total, total + 3);
  await patch({ limits: null });
});

t.test('its request rate counts on every replica soon, and never for brakes', async (t) => {
  await patch({ limits: { requestsPerSecond: 1 } });
  const isLimited = async () => {
    const answers = await Promise.all(Array.from({ length: 6 }, () => there.call('operator', 'GET', AGENTS)));
    return answers.some(({ status, body }) => status === 429 && body.code === 'RATE_LIMITED');
  };
  await until('the other replica limits the workspace', isLimited, EVERYWHERE_WITHIN);
  const stop = `${AGENTS}/0190a6a0-0000-7000-8000-000000000000/stop`;
  const brakes = await Promise.all(Array.from({ length: 6 }, () => there.call('operator', 'POST', stop)));
  t.same([...new Set(brakes.map(({ status }) => status))], [404]);
  t.equal((await there.call('outsider', 'GET', '/v1/workspaces/other/agents')).status, 200, 'others have their own');
});

t.test('settings that somebody damaged let nothing be created', async (t) => {
  await here.database.query(`UPDATE workspaces SET settings = '{"approvalsRequired": "none"}' WHERE id = 'other'`);
  const agents = '/v1/workspaces/other/agents';
  t.match(await here.call('outsider', 'GET', '/v1/workspaces/other/settings'), { status: 422 });
  t.match(await here.call('outsider', 'POST', agents, { spec: { name: 'a' } }), { status: 422 });
});

function digestOf(answer: Answer): string {
  return String(answer.headers.etag).slice(1, -1);
}
