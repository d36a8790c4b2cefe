import Fastify, { type FastifyInstance } from 'fastify';

import { decisionRoutes } from '../../src/decisions/routes.ts';
import { jsonBodyPlugin } from '../../src/http/json-body.ts';
import { problemPlugin } from '../../src/http/problem.ts';
import { queryTypesPlugin } from '../../src/http/query-types.ts';
import { refusalsPlugin } from '../../src/http/refusals.ts';
import { requestContextPlugin } from '../../src/http/request-context.ts';
import { routeContractPlugin } from '../../src/http/route-contract.ts';
import { isPermission } from '../../src/identity/permissions.ts';
import { identityPlugin } from '../../src/identity/plugin.ts';
import type { Principal } from '../../src/identity/principal.ts';
import { promotionDecisionRoutes } from '../../src/promotion/decision-routes.ts';
import { createPromotionLists } from '../../src/promotion/lists.ts';
import { promotionRoutes } from '../../src/promotion/routes.ts';
import { ROLES } from '../../src/roles.ts';
import { signerRoutes } from '../../src/signers/routes.ts';
import type { Governance, Teardown } from '../admission/fixture.ts';

/** The routes of promotion, decisions and signers; `x-as: <role>[@workspace|*]`, or `agent:<id>@workspace`, says who calls. */
export async function apiOf(t: Teardown, world: Governance): Promise<FastifyInstance> {
  const app = Fastify({
    ajv: { customOptions: { removeAdditional: false, coerceTypes: false, useDefaults: false, allErrors: true } },
  });
  t.teardown(() => app.close());
  const { storage, audit, promote, decisions, release, verifyProof } = world;
  app.decorate('storage', storage);
  app.decorate('audit', audit);
  await app.register(routeContractPlugin, { isPermission });
  await app.register(problemPlugin, { random: () => 0 });
  await app.register(requestContextPlugin);
  await app.register(refusalsPlugin);
  await app.register(jsonBodyPlugin);
  await app.register(queryTypesPlugin);
  await app.register(identityPlugin, {
    authenticate: (_socket, request) => principalOf(String(request.headers['x-as'])),
  });
  await app.register(promotionRoutes, { promote, release, lists: createPromotionLists({ storage }), verifyProof });
  await app.register(promotionDecisionRoutes, { decisions });
  await app.register(decisionRoutes);
  await app.register(signerRoutes);
  return app;
}

function principalOf(text: string): Principal {
  const [who = '', workspace = 'demo'] = text.split('@');
  const [name = '', agentId] = who.split(':');
  const role = ROLES.find((one) => one === name);
  if (role === undefined) throw new RangeError(`no role ${name}`);
  const principal = { id: `${who}-1`, roles: [role], workspaces: workspace === '*' ? ('*' as const) : [workspace] };
  if (agentId === undefined) return { ...principal, kind: 'human' };
  return { ...principal, kind: 'agent', agent: { workspaceId: workspace, agentId } };
}
