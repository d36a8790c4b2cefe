import Fastify from 'fastify';
import t from 'tap';

import { jsonBodyPlugin } from '../../src/http/json-body.ts';
import { problemPlugin } from '../../src/http/problem.ts';
import { queryTypesPlugin } from '../../src/http/query-types.ts';
import { routeContractPlugin } from '../../src/http/route-contract.ts';
import { isPermission } from '../../src/identity/permissions.ts';
import { policyRoutes } from '../../src/policy/routes.ts';
import { CALLER, modules, reload, WORKSPACE, world } from './fixture.ts';

const BASE = `/v1/workspaces/${WORKSPACE}/policy`;
const ADMIN = { id: 'admin', kind: 'human', roles: ['kernel-admin'], workspaces: '*' } as const;

async function service(t: Parameters<typeof world>[0]) {
  const w = await world(t);
  const replica = await w.replica();
  const app = Fastify({ ajv: { customOptions: { removeAdditional: false, coerceTypes: false, useDefaults: false } } });
  await app.register(routeContractPlugin, { isPermission });
  await app.register(problemPlugin, { random: () => 0 });
  await app.register(queryTypesPlugin);
  await app.register(jsonBodyPlugin);
  app.decorate('storage', replica.storage);
  app.decorateRequest('traceId', CALLER.traceId);
  app.decorateRequest('principal', { getter: () => ADMIN });
  await app.register(policyRoutes, { activation: replica.activation(), snapshots: replica.snapshots });
  t.teardown(() => app.close());
  return { w, app, replica };
}

t.test('the snapshot has exactly its members, and an entity tag that saves sending it again', async (t) => {
  const { w, app } = await service(t);
  const first = await app.inject({ url: `${BASE}/snapshot` });
  t.equal(first.statusCode, 200);
  const body = first.json();
  t.same(
    Object.keys(body).sort(),
    [
      'policySet',
      'version',
      'hash',
      'bundle',
      'mode',
      'activatedAt',
      'activatedBy',
      'revokedSigners',
      'invalidatedAgents',
      'invalidatedTotal',
      'revision',
    ].sort(),
  );
  t.same(body.bundle, { modules: modules(), data: {} });
  const etag = `"${body.hash}.${body.revision}"`;
  t.equal(first.headers.etag, etag);
  const again = await app.inject({ url: `${BASE}/snapshot`, headers: { 'if-none-match': etag } });
  t.equal(again.statusCode, 304);
  t.equal(again.body, '');
  w.signers.revision += 1;
  const changed = await app.inject({ url: `${BASE}/snapshot`, headers: { 'if-none-match': etag } });
  t.equal(changed.statusCode, 200);
});

t.test('a reload over HTTP: answer, conflict, refusal, closed body', async (t) => {
  const { w, app } = await service(t);
  const { policySet, bundle } = reload('SECOND');
  const post = (payload: object) => app.inject({ method: 'POST', url: `${BASE}/hotreload`, payload });

  const done = await post({ policySet, bundle, revalidate: false });
  t.equal(done.statusCode, 200, done.body);
  t.match(done.json(), { oldHash: w.shipped.bundle.hash, revalidated: 0, revalidation: { id: null, state: 'done' } });

  const conflict = await post({ policySet, bundle, revalidate: false, expectedHash: w.shipped.bundle.hash });
  t.equal(conflict.statusCode, 409);
  t.equal(conflict.json().code, 'POLICY_HASH_CONFLICT');

  const broken = { modules: { 'promotion.rego': 'package castellan.promotion\n\ndeny contains {' }, data: {} };
  const refused = await post({ policySet, bundle: broken, revalidate: false });
  t.equal(refused.statusCode, 422);
  t.equal(refused.json().code, 'POLICY_INVALID');

  for (const body of [
    { policySet, bundle, actor: 'someone' },
    { policySet: '../x', bundle },
    { policySet, bundle: { modules: {}, data: {}, extra: 1 } },
    { policySet, bundle: {} },
  ]) {
    t.equal((await post(body)).statusCode, 400, JSON.stringify(body).slice(0, 60));
  }
});

t.test('versions are listed page by page, shown one by one, and rolled back to', async (t) => {
  const { app } = await service(t);
  const { policySet, bundle } = reload('SECOND');
  await app.inject({ method: 'POST', url: `${BASE}/hotreload`, payload: { policySet, bundle, revalidate: false } });

  const page = (await app.inject({ url: `${BASE}/versions?limit=1` })).json();
  t.match(page.versions, [{ version: 1, state: 'inactive', packages: ['castellan.promotion'] }]);
  const next = (await app.inject({ url: `${BASE}/versions?limit=1&cursor=${page.nextCursor}` })).json();
  t.match(next, { versions: [{ version: 2, state: 'active' }], nextCursor: null });
  t.same(Object.keys(next.versions[0]).includes('wasm'), false);

  const shown = await app.inject({ url: `${BASE}/versions/2` });
  t.same(shown.json().bundle, bundle);
  for (const version of ['3', '0', 'x', '99999999999']) {
    t.equal((await app.inject({ url: `${BASE}/versions/${version}` })).statusCode, 404, version);
  }

  const rollback = (payload: object) => app.inject({ method: 'POST', url: `${BASE}/rollback`, payload });
  t.equal((await rollback({ version: 1, revalidate: false })).statusCode, 200);
  t.equal((await rollback({ version: 1, revalidate: false })).statusCode, 409);
  t.equal((await rollback({ version: 9, revalidate: false })).statusCode, 404);
});
