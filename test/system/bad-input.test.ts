import t, { type Test } from 'tap';

import type { Answer } from '../support/service.ts';
import { type Operation, operations, pathOf } from './support/operations.ts';
import { reload } from './support/policies.ts';
import { MINUTE, openWorld, SPEC, type World } from './support/world.ts';

const WITH_BODY = operations().filter(({ body }) => body !== undefined);
const JSON_TYPE = { 'content-type': 'application/json' };

const EMPTY_PATCH_FITS = { description: 'new' };
/** A merge patch: null takes a setting back. */
const SETTINGS_PATCH: Record<string, unknown> = { defaultTtlSeconds: 60 };

/** Bodies that each operation takes, to be spoilt; an operation that is not here takes none. */
const GOOD: Readonly<Record<string, Record<string, unknown>>> = {
  createWorkspace: { workspaceId: 'fresh', displayName: 'Fresh' },
  registerSigner: { signerId: 'manifest-1', alg: 'Ed25519', purpose: 'manifest', publicKey: 'x' },
  revokeSigner: { reason: 'lost' },
  activateSigner: {},
  retireSigner: {},
  reattestAudit: { signerId: 'audit-1', reason: 'compared with the backup' },
  reattestSystemAudit: { signerId: 'audit-1', reason: 'compared with the backup' },
  compromiseSigner: { reason: 'lost', trustedUpTo: '2020-01-01T00:00:00Z' },
  importSigners: { signers: [{ signerId: 'manifest-1', alg: 'Ed25519', purpose: 'manifest', publicKey: 'x' }] },
  rotateSigner: {
    reason: 'lost',
    replacement: { signerId: 'audit-2', alg: 'Ed25519', publicKey: 'x' },
    emergency: true,
  },
  erasePersonalData: { actorId: 'p-7f3a', reason: 'asked' },
  eraseSystemPersonalData: { actorId: 'p-7f3a', reason: 'asked' },
  pruneAudit: { to: 1, reason: 'older than seven years' },
  pruneSystemAudit: { to: 1, reason: 'older than seven years' },
  placeAuditHold: { reason: 'litigation' },
  releaseAuditHold: { reason: 'settled' },
  placeSystemAuditHold: { reason: 'litigation' },
  releaseSystemAuditHold: { reason: 'settled' },
  patchWorkspaceSettings: SETTINGS_PATCH,
  suspendWorkspace: { reason: 'an incident' },
  resumeWorkspace: { reason: 'all is well' },
  elevate: { workspaceId: 'demo', minutes: 10, justification: 'nobody of theirs can be reached' },
  placeAccessLock: { principalId: 'p-7f3a', reason: 'lost laptop' },
  releaseAccessLock: { reason: 'found again' },
  createAgent: { spec: SPEC, ttlSeconds: 60 },
  patchAgent: { spec: EMPTY_PATCH_FITS },
  forkAgent: { name: 'second', ttlSeconds: 60 },
  promoteAgent: { justification: 'please' },
  approvePromotion: { comment: 'looked at' },
  rejectPromotion: { reason: 'not yet' },
  quarantineAgent: { reason: 'odd' },
  releaseAgent: { reason: 'fine' },
  engageKillSwitch: { reason: 'it went wrong' },
  clearKillSwitch: { reason: 'it is mended' },
  engageWorkspaceKillSwitch: { reason: 'it went wrong' },
  clearWorkspaceKillSwitch: { reason: 'it is mended' },
  engageAgentKillSwitch: { reason: 'it went wrong' },
  clearAgentKillSwitch: { reason: 'it is mended' },
  spawnAgent: { agent_config: { name: 'spawned' }, workspace_id: 'demo' },
  startSpawnedAgent: { replicas: 1 },
  stopSpawnedAgent: { reason: 'enough' },
  scaleSpawnedAgent: { replicas: 1 },
  runSandbox: { tests: ['echo a'], timeout_seconds: 5 },
  cancelSandboxRun: {},
  createTemplate: { template_id: 'reader', name: 'Reader', agent_config: EMPTY_PATCH_FITS, workspace_id: 'demo' },
  patchTemplate: { name: 'Reader', agent_config: EMPTY_PATCH_FITS },
  startAgent: { replicas: 1 },
  stopAgent: { reason: 'enough' },
  emergencyStopAgent: { stopToken: 'enough' },
  batchAgents: { action: 'stop', agentIds: ['01975a00-0000-7000-8000-0000000000ee'] },
  hotReloadPolicy: { ...reload(), mode: 'enforce', revalidate: false, reason: 'new limits' },
  revalidateAgents: { agentIds: ['01975a00-0000-7000-8000-0000000000ee'] },
  rollBackPolicy: { version: 1, reason: 'back', revalidate: false },
};
/** Takes anything for a proof: what is none is answered as MALFORMED. */
const VERIFIES = 'verifyProof';

interface Spoilt {
  readonly why: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly status?: number;
  readonly code?: string;
}

/** Bodies that no operation may take. */
function spoiltFor(good: Record<string, unknown>): Spoilt[] {
  const inside = JSON.stringify(good).slice(1, -1);
  const before = inside === '' ? '' : `${inside},`;
  const [first = 'reason'] = Object.keys(good);
  const malformed = (why: string, body: string): Spoilt => ({ why, body, code: 'MALFORMED_JSON' });
  return [
    { why: 'an unknown member', body: `{${before}"actor":"root"}`, code: 'VALIDATION_FAILED' },
    ...Object.keys(good).flatMap((member): Spoilt[] =>
      [[], {}, 0, 1.5, true, '', null, [null], 'x'.repeat(100_000)]
        .filter((value) => !fits(good[member], value) && !(good === SETTINGS_PATCH && value === null))
        .map((value) => ({
          why: `${member}: ${JSON.stringify(value).slice(0, 20)}`,
          body: JSON.stringify({ ...good, [member]: value }),
        })),
    ),
    ...['[]', '"text"', '1', 'true', '[{}]'].map((body): Spoilt => ({ why: body, body, code: 'VALIDATION_FAILED' })),
    malformed('__proto__', `{${before}"__proto__":{"roles":["kernel-admin"]}}`),
    malformed('__proto__, written another way', `{${before}"\\u005f_proto__":{}}`),
    malformed('a member twice', `{${before}"${first}":1,"${first}":2}`),
    malformed('nested without end: arrays', `{"${first}":${'['.repeat(100_000)}${']'.repeat(100_000)}}`),
    malformed('nested without end: objects', `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`),
    malformed('opened without end', '['.repeat(100_000)),
    malformed('half a surrogate pair', `{"${first}":"\\ud800"}`),
    malformed('half a surrogate pair as a name', `{"\\udc00":1}`),
    malformed('a number no double holds', `{"${first}":1e400}`),
    malformed('a number that would be rounded', `{"${first}":12345678901234567890}`),
    malformed('minus zero', `{"${first}":-0}`),
    malformed('NUL in a text', `{"${first}":"a\\u0000b"}`),
    malformed('a byte order mark', `\ufeff{${inside}}`),
    malformed('no JSON', '{reason: lost}'),
    malformed('cut off', `{${inside}`),
    malformed('two values', '{}{}'),
    malformed('only blanks', '  '),
    { why: 'a form', body: 'a=b', headers: { 'content-type': 'application/x-www-form-urlencoded' }, status: 415 },
    { why: 'text', body: `{${inside}}`, headers: { 'content-type': 'text/plain' }, status: 415 },
    { why: 'no type', body: `{${inside}}`, headers: { 'content-type': '' } },
    { why: 'a type of nonsense', body: `{${inside}}`, headers: { 'content-type': 'application/json, text/html' } },
    { why: 'compressed', body: `{${inside}}`, headers: { ...JSON_TYPE, 'content-encoding': 'gzip' }, status: 415 },
  ];
}

/** Whether the spoilt value happens to be one that this member takes: a switch is on, a merge patch may be empty. */
function fits(good: unknown, value: unknown): boolean {
  if (typeof good === 'boolean') return value === true;
  return good === EMPTY_PATCH_FITS && JSON.stringify(value) === '{}';
}

t.test('a body that is not what the operation asks for is refused, and nothing happens', async (t) => {
  const world = await openWorld(t);
  const agentId = await world.sandboxAgent('demo');
  for (const operation of WITH_BODY) {
    const good = GOOD[operation.operationId] ?? {};
    await t.test(operation.operationId, async (t) => {
      world.pass(MINUTE);
      const send = sender(world, operation, agentId);
      const { events, result } = await world.eventsOf(() =>
        world.changesOf(async () => {
          for (const spoilt of spoiltFor(good)) {
            // A reload takes unusable numbers as far as its schema, to answer 422 for those in a policy's data.
            const { code: _, ...anyCode } = spoilt;
            const expected = operation.operationId === 'hotReloadPolicy' ? anyCode : spoilt;
            check(t, expected, await send(spoilt.body, spoilt.headers));
          }
          if (needsBody(operation)) check(t, { why: 'no body', body: '' }, await send(undefined));
        }),
      );
      t.same(result.changed, [], 'nothing changed');
      t.same(events, [], 'and there is no event');
    });
  }
});

function sender(world: World, operation: Operation, agentId: string) {
  const path = pathOf(operation, { agentId, signerId: 'proof-1' });
  return (body: string | undefined, headers: Readonly<Record<string, string>> = JSON_TYPE) =>
    world.call('kernel-admin', operation.method, path, body, headers);
}

function needsBody({ operationId, bodyRequired }: Operation): boolean {
  return operationId !== VERIFIES && bodyRequired;
}

function check(t: Test, { why, status, code }: Spoilt, answer: Answer): void {
  const said = `${why}: ${answer.status} ${answer.text.slice(0, 300)}`;
  t.ok(answer.status >= 400 && answer.status < 500, said);
  t.match(answer.headers['content-type'], /^application\/problem\+json/, said);
  if (status !== undefined) t.equal(answer.status, status, said);
  if (code !== undefined) t.equal(answer.body.code, code, said);
  t.match(answer.body, { status: answer.status, instance: answer.headers['x-request-id'] }, said);
  t.notMatch(answer.text, /node_modules|src\/|at Object|\.ts:/, 'nothing of the inside');
}

t.test('every operation with a body has a good one to be spoilt', async (t) => {
  t.same(WITH_BODY.map(({ operationId }) => operationId).sort(), [...Object.keys(GOOD), VERIFIES].sort());
});

t.test('a body at the bound and above it', async (t) => {
  const world = await openWorld(t);
  const sized = (bytes: number) => `{"spec":{"name":"a"}${' '.repeat(bytes - 21)}}`;
  const agents = '/v1/workspaces/demo/agents';
  t.equal((await world.call('operator', 'POST', agents, sized(1_048_576))).status, 201);
  const { events, result } = await world.eventsOf(() => world.call('operator', 'POST', agents, sized(1_048_577)));
  t.match(result, { status: 413, body: { code: 'BODY_TOO_LARGE' } });
  t.same(events, []);
  const large = await world.call('kernel-admin', 'POST', '/v1/workspaces/demo/policy/hotreload', sized(6_291_457));
  t.equal(large.status, 413, 'a bundle may be larger, and has its bound too');
  const bundle = await world.call('kernel-admin', 'POST', '/v1/workspaces/demo/policy/hotreload', sized(6_291_456));
  t.equal(bundle.status, 400, 'this one was read');
});

t.test('a change to what was read before counts only if nobody changed it since', async (t) => {
  const world = await openWorld(t);
  const agent = `/v1/workspaces/demo/agents/${await world.sandboxAgent('demo')}`;
  const patch = (description: string, ifMatch: string) =>
    world.call('operator', 'PATCH', agent, { spec: { description } }, { 'if-match': ifMatch });
  const etag = String((await world.expect(200, 'operator', 'GET', agent)).headers.etag);
  t.match(etag, /^"[^"]+"$/, 'a strong one');

  const changed = await patch('first', etag);
  t.equal(changed.status, 200, changed.text);
  const { events, result } = await world.eventsOf(() =>
    world.changesOf(async () => {
      for (const stale of [etag, `W/${String(changed.headers.etag)}`, '"nonsense"', `${etag}, "other"`]) {
        const answer = await patch('second', stale);
        t.match(answer, { status: 412, body: { code: 'PRECONDITION_FAILED' } }, stale);
      }
      for (const broken of ['nonsense', '"open', '']) {
        const answer = await patch('second', broken);
        t.match(answer, { status: 400, body: { code: 'VALIDATION_FAILED' } }, broken);
      }
    }),
  );
  t.same([events, result.changed], [[], []], 'nothing happened');
  t.equal((await patch('third', `"other", ${String(changed.headers.etag)}`)).status, 200);
  t.equal((await patch('fourth', '*')).status, 200);

  const current = String((await world.expect(200, 'operator', 'GET', agent)).headers.etag);
  const cached = await world.call('operator', 'GET', agent, undefined, { 'if-none-match': current });
  t.match(cached, { status: 304, text: '' });
  t.equal((await world.call('operator', 'GET', agent, undefined, { 'if-none-match': etag })).status, 200);
});

t.test('a path or a method that is not there', async (t) => {
  const world = await openWorld(t);
  const agentId = await world.sandboxAgent('demo');
  const cases: { why: string; method: string; path: string; status: number }[] = [
    { why: 'nothing', method: 'GET', path: '/', status: 404 },
    { why: 'an unknown path', method: 'GET', path: '/v1/nothing', status: 404 },
    { why: 'an unknown path with a body', method: 'POST', path: '/v1/nothing', status: 404 },
    { why: 'below a known one', method: 'GET', path: `/v1/workspaces/demo/agents/${agentId}/nothing`, status: 404 },
    { why: 'with a slash too many', method: 'GET', path: '/v1/workspaces/demo/agents/', status: 404 },
    { why: 'in other letters', method: 'GET', path: '/V1/workspaces/demo/agents', status: 404 },
    { why: 'metrics are on the other listener', method: 'GET', path: '/metrics', status: 404 },
    { why: 'and so is health', method: 'GET', path: '/readyz', status: 404 },
    { why: 'a query nobody asked for', method: 'GET', path: '/v1/workspaces/demo/agents?debug=1', status: 400 },
    { why: 'a query member twice', method: 'GET', path: '/v1/workspaces/demo/agents?limit=1&limit=2', status: 400 },
    { why: 'an agent id of another shape', method: 'GET', path: '/v1/workspaces/demo/agents/1', status: 404 },
    { why: 'a version of another shape', method: 'GET', path: '/v1/workspaces/demo/policy/versions/1e1', status: 404 },
    { why: 'a path with an encoded slash', method: 'GET', path: '/v1/workspaces/demo%2fagents', status: 400 },
    { why: 'a path with an empty part', method: 'GET', path: '/v1/workspaces/demo//agents', status: 400 },
    { why: 'a path with NUL', method: 'GET', path: '/v1/workspaces/demo/agents/%00', status: 400 },
    { why: 'a broken escape', method: 'GET', path: '/v1/workspaces/demo/agents/%zz', status: 400 },
  ];
  const { events, result } = await world.eventsOf(() =>
    world.changesOf(async () => {
      for (const { why, method, path, status } of cases) {
        const answer = await world.call('kernel-admin', method, path, method === 'POST' ? {} : undefined);
        t.equal(answer.status, status, `${why}: ${answer.text}`);
        t.match(answer.headers['content-type'], /^application\/problem\+json/);
      }
      for (const method of ['PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
        const answer = await world.call('kernel-admin', method, '/v1/workspaces/demo/agents');
        t.ok([404, 405].includes(answer.status), `${method}: ${answer.status} ${answer.text}`);
        t.match(answer.headers['content-type'], /^application\/problem\+json/);
      }
      for (const method of ['TRACE', 'PROPFIND', 'PURGE']) {
        const answer = await world.call('kernel-admin', method, '/v1/workspaces/demo/agents');
        t.ok(answer.status >= 400 && answer.status < 500, `${method}: ${answer.status}`);
      }
      const head = await world.call('kernel-admin', 'HEAD', '/v1/workspaces/demo/agents');
      t.match(head, { text: '' });
      t.ok(head.status < 500);
    }),
  );
  t.same([events, result.changed], [[], []], 'nothing happened');

  const { events: refusal } = await world.eventsOf(async () => {
    const answer = await world.call('kernel-admin', 'GET', '/v1/workspaces/De_mo/agents');
    t.match(answer, { status: 404, body: { code: 'NOT_FOUND' } }, 'a workspace id of another shape');
  });
  t.same(
    refusal.map(({ chain, type }) => [chain, type]),
    [['_system', 'access.denied']],
    'somebody tries names',
  );
});
