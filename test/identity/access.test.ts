import { Type } from '@sinclair/typebox';
import type { FastifyContextConfig, FastifyInstance } from 'fastify';
import t from 'tap';
import { AccessDenied, type DeniedAccess } from '../../src/identity/errors.ts';
import type { Principal } from '../../src/identity/principal.ts';
import { AGENT_ID, testAuthority } from '../certs/material.ts';
import { buildApp, NoQuery } from '../http/fixture.ts';

const OTHER_AGENT = '01975a00-0000-7000-8000-00000000000b';
const person = (role: Principal['roles'][number], workspaces: Principal['workspaces']): Principal => ({
  id: `the ${role}`,
  kind: 'human',
  roles: [role],
  workspaces,
});
const callers = {
  operator: person('operator', ['demo']),
  auditor: person('auditor', ['demo']),
  gateway: person('gateway', ['demo']),
  localAdmin: person('kernel-admin', ['demo']),
  admin: person('kernel-admin', '*'),
  agent: {
    id: 'the agent',
    kind: 'agent',
    roles: ['agent'],
    workspaces: ['demo'],
    agent: { workspaceId: 'demo', agentId: AGENT_ID },
  },
} as const satisfies Record<string, Principal>;
type Caller = keyof typeof callers;

let caller: Principal = callers.operator;
const denied: DeniedAccess[] = [];

function routes(app: FastifyInstance): void {
  const add = (method: 'GET' | 'POST', url: string, config: FastifyContextConfig, name: string) => {
    const body = method === 'POST' ? { body: Type.Null() } : {};
    const params = url.includes(':') ? { params: Type.Object({}, { additionalProperties: true }) } : {};
    const schema = {
      operationId: name,
      tags: ['t'],
      summary: name,
      querystring: NoQuery,
      response: { 200: {} },
      ...body,
      ...params,
    };
    app.route({
      method,
      url,
      config,
      schema,
      handler: async (request) => {
        if (config.scope === 'agent') request.requireWorkspace('demo', AGENT_ID);
        return {};
      },
    });
  };
  add('GET', '/v1/things', { permission: 'workspaces.read', audit: [], scope: 'global' }, 'readGlobal');
  add('GET', '/v1/system', { permission: 'audit.read', audit: [], scope: 'global', allWorkspaces: true }, 'readSystem');
  add('POST', '/v1/things', { permission: 'workspaces.write', audit: ['x'], scope: 'global' }, 'writeGlobal');
  add('POST', '/v1/verify', { permission: 'audit.read', audit: [], readOnly: true, scope: 'global' }, 'verifyGlobal');
  add(
    'GET',
    '/v1/workspaces/:workspaceId/mine',
    { permission: 'agents.read', audit: [], ownOnly: 'handler' },
    'listOwn',
  );
  add('POST', '/api/v1/agent/:agent_id/start', { permission: 'evaluate', audit: ['x'], scope: 'agent' }, 'oldStart');
  app.addHook('onError', async (_request, _reply, error) => {
    if (error instanceof AccessDenied) denied.push(error.access);
  });
}

const app = await buildApp({ ...(await testAuthority()), authenticate: () => caller, routes });
t.teardown(() => app.close());

const AGENTS = '/v1/workspaces/demo/agents';
const FOREIGN = '/v1/workspaces/other/agents';
const cases: {
  why: string;
  as: Caller;
  do: string;
  status: number;
  access?: { [Name in keyof DeniedAccess]?: DeniedAccess[Name] | undefined };
}[] = [
  { why: 'own workspace', as: 'operator', do: `GET ${AGENTS}`, status: 200 },
  { why: 'every workspace', as: 'admin', do: `GET ${FOREIGN}`, status: 200 },
  {
    why: 'foreign workspace',
    as: 'operator',
    do: `GET ${FOREIGN}`,
    status: 404,
    access: { chain: '_system', reason: 'FOREIGN_WORKSPACE', workspaceId: 'other' },
  },
  {
    why: 'HEAD tells no more than GET',
    as: 'operator',
    do: `HEAD ${FOREIGN}`,
    status: 404,
    access: { chain: '_system' },
  },
  { why: 'foreign before role', as: 'auditor', do: `POST ${FOREIGN}`, status: 404, access: { chain: '_system' } },
  {
    why: 'malformed workspace',
    as: 'operator',
    do: 'GET /v1/workspaces/Demo/agents',
    status: 404,
    access: { chain: '_system', workspaceId: undefined },
  },
  {
    why: 'the chain of the system',
    as: 'admin',
    do: 'GET /v1/workspaces/_system/agents',
    status: 404,
    access: { workspaceId: undefined },
  },
  { why: 'a star is no workspace', as: 'operator', do: 'GET /v1/workspaces/*/agents', status: 404 },
  {
    why: 'wrong role',
    as: 'auditor',
    do: `POST ${AGENTS}`,
    status: 403,
    access: {
      chain: 'demo',
      reason: 'ROLE',
      workspaceId: 'demo',
      route: '/v1/workspaces/:workspaceId/agents',
      method: 'POST',
    },
  },
  { why: 'a gateway may nothing', as: 'gateway', do: `GET ${AGENTS}`, status: 403, access: { chain: 'demo' } },
  { why: 'unknown path', as: 'operator', do: 'GET /v1/workspaces/demo/nothing', status: 404 },
  { why: "a list of what is the caller's", as: 'operator', do: 'GET /v1/things', status: 200 },
  {
    why: 'the system chain needs every workspace',
    as: 'localAdmin',
    do: 'GET /v1/system',
    status: 403,
    access: { chain: '_system', reason: 'ALL_WORKSPACES_NEEDED' },
  },
  { why: 'and has it', as: 'admin', do: 'GET /v1/system', status: 200 },
  {
    why: 'a change without a workspace needs every workspace',
    as: 'localAdmin',
    do: 'POST /v1/things',
    status: 403,
    access: { reason: 'ALL_WORKSPACES_NEEDED' },
  },
  { why: 'and has it', as: 'admin', do: 'POST /v1/things', status: 200 },
  {
    why: 'wrong role without a workspace',
    as: 'operator',
    do: 'POST /v1/things',
    status: 403,
    access: { chain: '_system', reason: 'ROLE' },
  },
  { why: 'a POST that reads', as: 'localAdmin', do: 'POST /v1/verify', status: 200 },
  { why: 'agent: itself', as: 'agent', do: `GET ${AGENTS}/${AGENT_ID}`, status: 200 },
  {
    why: 'agent: another one',
    as: 'agent',
    do: `GET ${AGENTS}/${OTHER_AGENT}`,
    status: 404,
    access: { chain: '_system', reason: 'FOREIGN_AGENT' },
  },
  { why: 'agent: its id in another spelling', as: 'agent', do: `GET ${AGENTS}/${AGENT_ID.toUpperCase()}`, status: 404 },
  { why: 'agent: its id elsewhere', as: 'agent', do: `GET ${FOREIGN}/${AGENT_ID}`, status: 404 },
  {
    why: 'agent: a list of all',
    as: 'agent',
    do: `GET ${AGENTS}`,
    status: 403,
    access: { chain: 'demo', reason: 'ROLE' },
  },
  { why: 'agent: a list that narrows itself', as: 'agent', do: 'GET /v1/workspaces/demo/mine', status: 200 },
  { why: 'agent: it cannot stop itself', as: 'agent', do: `POST ${AGENTS}/${AGENT_ID}/stop`, status: 403 },
  { why: 'old path: itself', as: 'agent', do: `POST /api/v1/agent/${AGENT_ID}/start`, status: 200 },
  {
    why: 'old path: another one',
    as: 'agent',
    do: `POST /api/v1/agent/${OTHER_AGENT}/start`,
    status: 404,
    access: { reason: 'FOREIGN_AGENT' },
  },
];

for (const { why, as, do: action, status, access } of cases) {
  t.test(`${as}: ${why}`, async (t) => {
    caller = callers[as];
    denied.length = 0;
    const [method = '', url = ''] = action.split(' ');
    const answer = await app.inject({
      method: method === 'HEAD' ? 'HEAD' : method === 'POST' ? 'POST' : 'GET',
      url,
      headers: { 'x-request-id': 'r' },
    });
    t.equal(answer.statusCode, status, answer.body);
    if (access === undefined) return;
    t.match(denied, [{ principalId: callers[as].id }]);
    for (const [name, value] of Object.entries(access)) t.equal(Reflect.get(denied[0] ?? {}, name), value, name);
  });
}

t.test('the 404 of a foreign workspace and that of nothing at all are one', async (t) => {
  caller = callers.operator;
  const body = async (url: string) => (await app.inject({ url, headers: { 'x-request-id': 'r' } })).body;
  t.equal(await body(FOREIGN), await body('/v1/no-such-route'));
});

t.test("a workspace that the handler finds is the caller's or nobody's", async (t) => {
  caller = { ...callers.operator, workspaces: ['other'] };
  const answer = await app.inject({ method: 'POST', url: `/api/v1/agent/${AGENT_ID}/start` });
  t.equal(answer.statusCode, 404);
});
