import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';

import { until } from '../support/process.ts';
import { type Answer, type TestService, testCertificates, testService } from '../support/service.ts';
import { SPEC } from '../system/support/world.ts';

/** ms; a grant counts on every replica by then (the job's interval and its jitter, and a busy machine). */
const EVERYWHERE_WITHIN = 3000;
const MINUTE = 60_000;
const ROUTE = '/v1/break-glass';
const OTHER = '/v1/workspaces/other';
const AGENTS = `${OTHER}/agents`;
const WHY = 'the operators of other cannot be reached';

let moved = 0;
const clock = () => Date.now() + moved;
const mapFile = await mapWith(t, { operator: ['other', 'nowhere', 'approvals'], gateway: ['other'] });
const here = await testService(t, { clock, identity: { mapFile } });
const there = await testService(t, { replicaOf: here, clock, identity: { mapFile } });

const ask = (who: string, body: object = {}, headers = {}) =>
  here.call(who, 'POST', ROUTE, { workspaceId: 'other', minutes: 10, justification: WHY, ...body }, headers);
const look = (at: TestService = here, who = 'operator') => at.call(who, 'GET', AGENTS);
const end = (who: string, id: string, at = here) => at.call(who, 'DELETE', `${ROUTE}/${id}`);

/** In force here, and in the other replica's mind too. */
async function granted(minutes = 10): Promise<Answer['body']> {
  const answer = await ask('operator', { minutes });
  t.equal(answer.status, 201, answer.text);
  await until('the other replica knows', async () => (await look(there)).status === 200, EVERYWHERE_WITHIN);
  return answer.body;
}

async function eventsOf(chain: string, type: string, after = 0): Promise<Record<string, unknown>[]> {
  const { rows } = await here.database.query(
    `SELECT seq::int, actor_id, payload, sign_mode FROM audit_events
     WHERE chain = $1 AND event_type = $2 AND seq > $3 ORDER BY seq`,
    [chain, type, after],
  );
  return rows;
}

async function headOf(chain: string): Promise<number> {
  return (await here.database.query('SELECT seq::int FROM audit_heads WHERE chain = $1', [chain])).rows[0].seq;
}

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${here.service.opsUrl}/metrics`)).text();
  return Number(new RegExp(`^castellan_${name} (\\S+)$`, 'm').exec(text)?.[1]);
}

t.test('who is named for a workspace is its administrator for some minutes', async (t) => {
  t.equal((await look()).status, 404, 'not before');
  const answer = await ask('operator');
  t.match(answer, {
    status: 201,
    body: { principalId: 'operator', workspaceId: 'other', role: 'kernel-admin', state: 'active' },
  });
  const { elevationId, grantedAt, expiresAt, auditEvent } = answer.body;
  t.equal(Date.parse(expiresAt) - Date.parse(grantedAt), 10 * MINUTE);
  t.match(await eventsOf('other', 'access.breakglass.granted'), [
    {
      seq: auditEvent.seq,
      actor_id: 'operator',
      payload: { elevationId, minutes: 10, expiresAt, reason: { c: /^[0-9a-f]{64}$/ } },
      sign_mode: 'event',
    },
  ]);
  t.equal(await metric('break_glass_active'), 1);

  t.test('with an event before each request that passes because of it', async (t) => {
    t.equal((await look()).status, 200);
    const spec = { spec: { name: 'mended' } };
    t.equal((await here.call('operator', 'POST', AGENTS, spec)).status, 201);
    t.equal((await here.call('operator', 'PATCH', `${OTHER}/settings`, { approvalsRequired: 1 })).status, 200);
    t.match(await eventsOf('other', 'access.breakglass.used'), [
      { actor_id: 'operator', payload: { elevationId, route: `GET ${pattern('agents')}`, permission: 'agents.read' } },
      { payload: { elevationId, route: `POST ${pattern('agents')}`, permission: 'agents.write' } },
      { payload: { elevationId, route: `PATCH ${pattern('settings')}`, permission: 'settings.write' } },
    ]);
    t.equal(await metric('break_glass_requests_total'), 3);
    await here.call('operator', 'PATCH', `${OTHER}/settings`, { approvalsRequired: null });
  });

  t.test('and nowhere else', async (t) => {
    const before = await headOf('other');
    t.equal((await here.call('operator', 'GET', '/v1/workspaces/demo/agents')).status, 200, 'its own as ever');
    t.equal((await here.call('operator', 'PATCH', '/v1/workspaces/demo/settings', { limits: null })).status, 403);
    t.equal((await here.call('operator', 'GET', '/v1/workspaces/third/agents')).status, 404);
    t.equal((await here.call('operator', 'POST', '/v1/workspaces', { workspaceId: 'fourth' })).status, 403);
    t.equal((await here.call('operator', 'GET', '/v1/audit/events')).status, 403);
    t.equal((await here.call('operator', 'GET', ROUTE)).status, 403);
    const { workspaces } = (await here.call('operator', 'GET', '/v1/workspaces')).body;
    t.same(
      workspaces.map(({ workspaceId }: { workspaceId: string }) => workspaceId),
      ['demo'],
    );
    t.equal((await look(here, 'orchestrator')).status, 404, 'and nobody else');
    t.same(await eventsOf('other', 'access.breakglass.used', before), []);
  });

  t.test('one at a time', async (t) => {
    t.match(await ask('operator', { minutes: 1 }), { status: 409, body: { code: 'CONFLICT' } });
  });

  t.test('until its holder gives it back: at once on every replica', async (t) => {
    await until('the other replica knows', async () => (await look(there)).status === 200, EVERYWHERE_WITHIN);
    t.match(await end('operator', elevationId), { status: 200, body: { state: 'ended', endCause: 'holder' } });
    t.equal((await look(there)).status, 404);
    t.equal((await look()).status, 404);
    t.match(await eventsOf('other', 'access.breakglass.ended'), [
      { actor_id: 'operator', payload: { elevationId, cause: 'holder' } },
    ]);
    t.equal((await end('operator', elevationId)).status, 200, 'again changes nothing');
    t.equal((await eventsOf('other', 'access.breakglass.ended')).length, 1);
    t.equal(await metric('break_glass_active'), 0);
  });
});

t.test('it is over to the second, also where the job has not been', async (t) => {
  const { expiresAt, elevationId } = await granted(2);
  moved += Date.parse(expiresAt) - clock() - 4000;
  t.equal((await look(there)).status, 200);
  moved += Date.parse(expiresAt) - clock();
  for (const at of [here, there]) t.equal((await look(at)).status, 404);
  const isEnded = async () => (await eventsOf('other', 'access.breakglass.ended')).length === 2;
  await until('a job says that it is over', isEnded, 5000);
  t.match((await eventsOf('other', 'access.breakglass.ended')).at(-1), {
    actor_id: 'castellan',
    payload: { elevationId, cause: 'expired' },
  });
});

t.test('an administrator of the workspace ends it; to others there is none', async (t) => {
  const { elevationId } = await granted();
  t.equal((await end('outsider', elevationId)).status, 403, 'an operator of the workspace');
  t.equal((await end('operator', randomUUID())).status, 404);
  t.equal((await end('operator', 'x')).status, 404);
  t.match(await end('kernel-admin', elevationId, there), { status: 200, body: { endCause: 'administrator' } });
  t.equal((await look(there)).status, 404);
  t.equal((await look()).status, 404, 'here too, though only the other replica was asked');
});

t.test('who may not', async (t) => {
  const cases = [
    ['operator', { workspaceId: 'third' }, 'ALL_WORKSPACES_NEEDED'],
    ['operator', { workspaceId: 'demo' }, 'ALL_WORKSPACES_NEEDED'],
    ['gateway', {}, 'ALL_WORKSPACES_NEEDED'],
    ['kernel-approver', {}, 'ROLE'],
    ['auditor', {}, 'ROLE'],
    ['orchestrator', {}, 'ROLE'],
    ['agent', {}, 'ROLE'],
  ] as const;
  for (const [who, body, reason] of cases) {
    const before = await headOf('_system');
    const answer = await ask(who, body);
    t.match(answer, { status: 403, body: { code: 'PERMISSION_DENIED' } }, who);
    t.match(await eventsOf('_system', 'access.denied', before), [{ payload: { reason, count: 1 } }], who);
  }
});

t.test('an administrator of all workspaces may, where there is one', async (t) => {
  const before = await headOf('demo');
  const { status, body } = await ask('kernel-admin', { workspaceId: 'demo' });
  t.equal(status, 201);
  t.equal((await here.call('kernel-admin', 'GET', '/v1/workspaces/demo/agents')).status, 200);
  t.same(await eventsOf('demo', 'access.breakglass.used', before), [], 'it passes by its own roles');
  t.equal((await end('kernel-admin', body.elevationId)).status, 200);
  t.match(await ask('kernel-admin', { workspaceId: 'third' }), { status: 404, body: { code: 'NOT_FOUND' } });
  t.match(await ask('operator', { workspaceId: 'nowhere' }), { status: 404, body: { code: 'NOT_FOUND' } });
});

t.test('for minutes, with a reason', async (t) => {
  const bad = [
    { minutes: 0 },
    { minutes: 61 },
    { minutes: 1.5 },
    { minutes: '5' },
    { justification: '' },
    { justification: '   ' },
    { workspaceId: 'Other' },
    { principalId: 'outsider' },
    { role: 'auditor' },
  ];
  for (const body of bad) t.equal((await ask('operator', body)).status, 400, JSON.stringify(body));
  t.match(await ask('operator', { minutes: 61 }), { body: { errors: [{ pointer: '/minutes' }] } });
});

t.test('a request that is sent again asks once', async (t) => {
  const key = { 'idempotency-key': randomUUID() };
  const first = await ask('operator', {}, key);
  const again = await ask('operator', {}, key);
  t.equal(first.status, 201);
  t.match(again, { status: 201, text: first.text, headers: { 'idempotent-replayed': 'true' } });
  t.equal((await end('operator', first.body.elevationId)).status, 200);
});

t.test('nobody approves with it what he has asked for', async (t) => {
  const workspace = '/v1/workspaces/approvals';
  const as = (who: string, method: string, path: string, body?: unknown) =>
    here.call(who, method, `${workspace}${path}`, body);
  await here.call('kernel-admin', 'POST', '/v1/workspaces', { workspaceId: 'approvals' });
  t.equal((await as('kernel-admin', 'PATCH', '/settings', { approvalsRequired: 1 })).status, 200);
  const { elevationId } = (await ask('operator', { workspaceId: 'approvals' })).body;
  const agent = (await as('operator', 'POST', '/agents', { spec: SPEC })).body.id;
  const requested = await as('operator', 'POST', `/agents/${agent}/promote`, {});
  t.equal(requested.status, 202, requested.text);
  const promotion = `/promotions/${requested.body.promotionId}`;
  t.match(await as('operator', 'POST', `${promotion}/approve`, {}), {
    status: 403,
    body: { code: 'PERMISSION_DENIED' },
  });
  t.match(await as('operator', 'GET', promotion), { status: 200, body: { state: 'pending' } });
  t.equal((await as('kernel-admin', 'POST', `${promotion}/approve`, {})).status, 200, 'somebody else does');
  await end('operator', elevationId);
});

t.test('the list has all of them, for auditors and administrators', async (t) => {
  const list = async (who: string, query = '') => (await here.call(who, 'GET', `${ROUTE}${query}`)).body;
  const all = (await list('auditor')).elevations;
  t.equal(all.length, 6);
  t.same([...new Set(all.map(({ state }: { state: string }) => state))], ['ended']);
  const { elevationId } = await granted();
  t.match(await list('kernel-admin', '?active=true'), { elevations: [{ elevationId, state: 'active' }] });
  const first = await list('auditor', '?limit=4');
  const rest = await list('auditor', `?limit=4&cursor=${first.nextCursor}`);
  t.same([...first.elevations, ...rest.elevations].map(idOf), [...all.map(idOf), elevationId]);
  t.equal((await here.call('auditor', 'GET', `${ROUTE}?active=true&cursor=${first.nextCursor}`)).status, 400);
  await end('operator', elevationId);
});

function idOf({ elevationId }: { elevationId: string }): string {
  return elevationId;
}

function pattern(last: string): string {
  return `/v1/workspaces/:workspaceId/${last}`;
}

/** The development identities, some of them named for workspaces. */
async function mapWith(t: Test, breakGlass: Readonly<Record<string, readonly string[]>>): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'castellan-test-map-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  const text = await readFile(join(await testCertificates(t), 'identity-map.json'), 'utf8');
  const { principals }: { principals: { id: string }[] } = JSON.parse(text);
  const named = principals.map((one) => (breakGlass[one.id] ? { ...one, breakGlass: breakGlass[one.id] } : one));
  const path = join(directory, 'identity-map.json');
  await writeFile(path, JSON.stringify({ principals: named }));
  return path;
}
