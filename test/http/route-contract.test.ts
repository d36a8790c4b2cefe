import { Type } from '@sinclair/typebox';
import type { FastifyInstance } from 'fastify';
import t from 'tap';
import { RouteContractViolation, violationsOf } from '../../src/http/route-contract.ts';
import { isPermission } from '../../src/identity/permissions.ts';
import { testAuthority } from '../certs/material.ts';
import { buildApp } from './fixture.ts';

const material = await testAuthority();
const options = { isPermission, exemptPrefixes: ['/docs'] };
const handler = async () => ({});
const closed = Type.Object({}, { additionalProperties: false });
const schema = { operationId: 'x', tags: ['x'], summary: 'x', response: { 200: Type.Object({}) } };

const cases = [
  {
    why: 'nothing declared',
    method: 'GET',
    url: '/x',
    wants: [
      'no config.permission',
      'no config.audit',
      'no schema.operationId',
      'no schema.tags',
      'no schema.summary',
      'no schema.response',
      'no schema.querystring',
    ],
  },
  {
    why: 'all well',
    method: 'GET',
    url: '/w/:workspaceId',
    config: { permission: 'agents.read', audit: [] },
    schema: { ...schema, params: closed, querystring: closed },
    wants: [],
  },
  {
    why: 'unknown permission',
    method: 'GET',
    url: '/x',
    config: { permission: 'agents.raed', audit: [] },
    schema: { ...schema, querystring: closed },
    wants: ['unknown permission agents.raed'],
  },
  {
    why: 'a change without an event',
    method: 'DELETE',
    url: '/w/:workspaceId',
    config: { permission: 'agents.write', audit: [] },
    schema: { ...schema, params: closed },
    wants: ['changes state without an audit event'],
  },
  {
    why: 'a POST that only reads',
    method: 'POST',
    url: '/w/:workspaceId',
    config: { permission: 'agents.read', audit: [], readOnly: true },
    schema: { ...schema, params: closed, body: closed },
    wants: [],
  },
  {
    why: 'a POST that says nothing of its body',
    method: 'POST',
    url: '/w/:workspaceId/a::batch',
    config: { permission: 'agents.write', audit: ['a'] },
    schema: { ...schema, params: closed },
    wants: ['no schema.body (say Type.Null() when there is none)'],
  },
  {
    why: 'params without a schema',
    method: 'GET',
    url: '/w/:workspaceId',
    config: { permission: 'agents.read', audit: [] },
    schema: { ...schema, querystring: closed },
    wants: ['no schema.params'],
  },
  {
    why: 'an open query',
    method: 'GET',
    url: '/w/:workspaceId',
    config: { permission: 'agents.read', audit: [] },
    schema: { ...schema, params: closed, querystring: Type.Object({}) },
    wants: ['schema.querystring is open'],
  },
  {
    why: 'no workspace and no scope',
    method: 'GET',
    url: '/x',
    config: { permission: 'agents.read', audit: [] },
    schema: { ...schema, querystring: closed },
    wants: ['no config.scope on a path without :workspaceId'],
  },
  {
    why: 'a scope that the path contradicts',
    method: 'GET',
    url: '/w/:workspaceId',
    config: { permission: 'agents.read', audit: [], scope: 'global' as const },
    schema: { ...schema, params: closed, querystring: closed },
    wants: ['scope global on a path with :workspaceId'],
  },
  {
    why: 'a lane that is none',
    method: 'GET',
    url: '/w/:workspaceId',
    config: { permission: 'agents.read', audit: [], lane: JSON.parse('"breaks"') },
    schema: { ...schema, params: closed, querystring: closed },
    wants: ['unknown lane breaks'],
  },
  {
    why: 'a library route needs a permission only',
    method: 'GET',
    url: '/docs/json',
    config: { permission: 'authenticated' },
    wants: [],
  },
  { why: 'and does need it', method: 'GET', url: '/docs/json', wants: ['no config.permission'] },
  {
    why: 'a prefix is a whole segment',
    method: 'GET',
    url: '/docsx',
    config: { permission: 'public', audit: [] },
    schema,
    wants: ['no schema.querystring'],
  },
];

for (const { why, wants, ...route } of cases) {
  t.test(why, async (t) => {
    const problems = violationsOf({ ...route, handler }, options);
    t.same(
      problems,
      wants.map((problem) => `${route.method} ${route.url}: ${problem}`),
    );
  });
}

t.test('boot fails, with every violation, wherever the route is', async (t) => {
  const add = (app: FastifyInstance) => {
    app.get('/a', { schema: { ...schema, querystring: closed }, config: { audit: [] } }, handler);
    app.register((inner, _options, done) => {
      inner.post('/b', { schema: { ...schema, body: closed }, config: { permission: 'public', audit: [] } }, handler);
      done();
    });
  };
  const app = await buildApp({ ...material, routes: add });
  t.teardown(() => app.close());
  const error = await app.ready().then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  t.ok(error instanceof RouteContractViolation);
  t.same(error instanceof RouteContractViolation && error.violations, [
    'GET /a: no config.permission',
    'POST /b: changes state without an audit event',
    'operationId x is used twice',
  ]);
});
