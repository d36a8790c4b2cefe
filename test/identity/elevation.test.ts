import type { FastifyRequest } from 'fastify';
import t from 'tap';

import { accessOf, type Elevations, NO_ELEVATIONS } from '../../src/identity/elevation.ts';
import { AccessDenied } from '../../src/identity/errors.ts';
import type { Principal } from '../../src/identity/principal.ts';

const OLGA: Principal = { id: 'olga', kind: 'human', roles: ['operator'], workspaces: ['demo'], breakGlass: ['other'] };

/** A request as far as access looks at it. */
function requestOf(
  config: FastifyRequest['routeOptions']['config'] | object,
  params: object = { workspaceId: 'other' },
): FastifyRequest {
  const routeOptions = { config, url: '/v1/workspaces/:workspaceId/agents' };
  // Only these members are read.
  return { method: 'GET', params, traceId: 'a'.repeat(32), routeOptions } as unknown as FastifyRequest;
}

/** An elevation of everybody everywhere, and what it was used for. */
function everywhere(): Elevations & { readonly used: unknown[] } {
  const used: unknown[] = [];
  return {
    used,
    use: async ({ id }, workspaceId, { route, permission }) => {
      used.push({ id, workspaceId, route, permission });
      return true;
    },
  };
}

const READ = { permission: 'agents.read' };

t.test('an elevation makes an administrator of that workspace and of no other', async (t) => {
  const elevations = everywhere();
  t.same(await accessOf(OLGA, requestOf(READ), elevations), {
    id: 'olga',
    kind: 'human',
    roles: ['operator', 'kernel-admin'],
    workspaces: ['other'],
  });
  t.same(elevations.used, [
    { id: 'olga', workspaceId: 'other', route: 'GET /v1/workspaces/:workspaceId/agents', permission: 'agents.read' },
  ]);
});

t.test('in a workspace of its own it adds the role', async (t) => {
  const elevations = everywhere();
  const request = requestOf({ permission: 'settings.write' }, { workspaceId: 'demo' });
  const { roles } = await accessOf({ ...OLGA, breakGlass: ['demo'] }, request, elevations);
  t.same(roles, ['operator', 'kernel-admin']);
  t.equal(elevations.used.length, 1);
});

t.test('what passes without is not a use of it', async (t) => {
  const elevations = everywhere();
  t.equal(await accessOf(OLGA, requestOf(READ, { workspaceId: 'demo' }), elevations), OLGA);
  t.same(elevations.used, []);
});

t.test('nobody is asked whether', async (t) => {
  const { breakGlass: _, ...unnamed } = OLGA;
  const agent = { workspaceId: 'demo', agentId: '0190a6a0-0000-7000-8000-000000000000' };
  const cases: readonly (readonly [string, Principal, FastifyRequest])[] = [
    ['who is no longer named', unnamed, requestOf(READ)],
    ['who is named for another workspace', { ...OLGA, breakGlass: ['third'] }, requestOf(READ)],
    ['a gateway', { ...OLGA, roles: ['gateway'] }, requestOf(READ)],
    ['an agent', { ...OLGA, kind: 'agent', roles: ['agent'], agent }, requestOf(READ)],
    ['an administrator may not either', OLGA, requestOf({ permission: 'nothing' })],
    ['a route without a workspace', OLGA, requestOf({ permission: 'signers.read', scope: 'global' }, {})],
    ['a route that finds it itself', OLGA, requestOf({ permission: 'killswitch.write', scope: 'agent' }, {})],
    ['a workspace that cannot be one', OLGA, requestOf(READ, { workspaceId: '_system' })],
  ];
  for (const [why, principal, request] of cases) {
    const elevations = everywhere();
    await t.rejects(async () => accessOf(principal, request, elevations), AccessDenied, why);
    t.same(elevations.used, [], why);
  }
});

t.test('without one in force, or when its use cannot be recorded, nobody passes', async (t) => {
  await t.rejects(async () => accessOf(OLGA, requestOf(READ), NO_ELEVATIONS), { code: 'NOT_FOUND' });
  const away = { use: () => Promise.reject(new Error('the audit is away')) };
  await t.rejects(async () => accessOf(OLGA, requestOf(READ), away), { message: 'the audit is away' });
});
