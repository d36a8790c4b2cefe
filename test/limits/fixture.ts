import { Type } from '@sinclair/typebox';
import Fastify, { type FastifyInstance } from 'fastify';
import { Pool } from 'undici';

import type { LimitsConfig } from '../../src/config/limits.ts';
import { defaultLimits } from '../../src/config.ts';
import { jsonBodyPlugin } from '../../src/http/json-body.ts';
import type { Lane } from '../../src/http/lanes.ts';
import { problemPlugin } from '../../src/http/problem.ts';
import { refusalsPlugin } from '../../src/http/refusals.ts';
import { requestContextPlugin } from '../../src/http/request-context.ts';
import { routeContractPlugin } from '../../src/http/route-contract.ts';
import { applyServerLimits, fastifyOptions } from '../../src/http/server-options.ts';
import { isPermission } from '../../src/identity/permissions.ts';
import { identityPlugin } from '../../src/identity/plugin.ts';
import type { Principal } from '../../src/identity/principal.ts';
import { type LimitsOptions, limitsPlugin } from '../../src/limits/plugin.ts';
import { ROLES } from '../../src/roles.ts';
import { testAuthority } from '../certs/material.ts';
import { listen } from '../http/fixture.ts';
import type { Tap } from '../support/postgres.ts';

const material = await testAuthority();
const client = await material.client('spiffe://castellan.dev/human/x');
export const tls = { ca: material.authority.cert, cert: client.cert, key: client.key };

/** Answers that are on their way until the test lets them go. */
export class Held {
  readonly #waiting: (() => void)[] = [];
  #over = false;

  wait(): Promise<void> {
    return this.#over ? Promise.resolve() : new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Lets go of all that are held, and of all to come. */
  release(): void {
    this.#over = true;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

export interface LimitedApp {
  readonly app: FastifyInstance;
  readonly port: number;
  readonly held: Held;
  /** `reason lane` of every refusal, in order. */
  readonly refused: string[];
  /** Errors that went the way of errors, where refused access is audited. */
  readonly errors: unknown[];
  /** One request of a principal: its roles are those of its name before the dash, `a+b` for two, its workspaces `*` unless it is `x-…`. */
  call(who: string, method: 'GET' | 'POST', path: string, body?: string): Promise<Reply>;
}

export interface Reply {
  readonly status: number;
  readonly code: string | undefined;
  readonly retryAfter: number;
  readonly connection: string | undefined;
}

type Change = { readonly [K in keyof LimitsConfig]?: LimitsConfig[K] };

/** However busy the machine is, only the limits that a test sets may shed. */
const CALM: NonNullable<LimitsOptions['eventLoop']> = { read: () => 0, stop: () => undefined };
const NO_LATENCY_MS = 600_000;

/** The HTTP side of the service with limits of the test's own, over real TLS. `x-who` says who calls. */
export async function limitedApp(
  t: Tap,
  change: Change,
  { eventLoop = CALM, workspaceCeiling }: Pick<LimitsOptions, 'eventLoop' | 'workspaceCeiling'> = {},
): Promise<LimitedApp> {
  const held = new Held();
  const refused: string[] = [];
  const errors: unknown[] = [];
  const app: FastifyInstance = Fastify(
    fastifyOptions({
      tls: {
        key: material.server.key,
        cert: material.server.cert,
        clientCa: material.authority.cert,
        minVersion: 'TLSv1.3',
        requireCertificate: true,
      },
      random: () => 0.5,
    }),
  );
  applyServerLimits(app.server);
  await app.register(routeContractPlugin, { isPermission });
  await app.register(requestContextPlugin);
  await app.register(problemPlugin, {
    random: () => 0.5,
    beforeAnswer: async (error) => {
      errors.push(error);
      return error;
    },
  });
  await app.register(refusalsPlugin);
  await app.register(limitsPlugin, {
    config: { ...defaultLimits(), latencyMs: NO_LATENCY_MS, ...change },
    now: () => performance.now(),
    random: () => 0.5,
    observe: { refused: (reason, lane) => refused.push(`${reason} ${lane}`) },
    eventLoop,
    ...(workspaceCeiling === undefined ? {} : { workspaceCeiling }),
  });
  await app.register(identityPlugin, {
    authenticate: (_socket, request) => principal(String(request.headers['x-who'] ?? 'operator-raw')),
    admit: app.limits.admit,
    charge: app.limits.charge,
  });
  await app.register(jsonBodyPlugin);
  routes(app, held);
  const port = await listen(app);
  const pool = new Pool(`https://127.0.0.1:${port}`, {
    connect: { ...tls, servername: 'localhost' },
    connections: 100,
  });
  t.teardown(async () => {
    held.release();
    await pool.close();
    await app.close();
  });
  return { app, port, held, refused, errors, call: caller(pool) };
}

function caller(pool: Pool): LimitedApp['call'] {
  return async (who, method, path, body) => {
    const headers = { 'x-who': who, ...(body === undefined ? {} : { 'content-type': 'application/json' }) };
    const answer = await pool.request({ method, path, headers, ...(body === undefined ? {} : { body }) });
    const text = await answer.body.text();
    const parsed: unknown = text.startsWith('{') ? JSON.parse(text) : {};
    const code = typeof parsed === 'object' && parsed !== null && 'code' in parsed ? String(parsed.code) : undefined;
    return {
      status: answer.statusCode,
      code,
      retryAfter: Number(answer.headers['retry-after'] ?? 0),
      connection: answer.headers['connection']?.toString(),
    };
  };
}

function principal(name: string): Principal {
  const roles = ROLES.filter((role) => name.split('-')[0]?.split('+').includes(role));
  return { id: name, kind: 'service', roles, workspaces: name.endsWith('-stranger') ? ['own'] : '*' };
}

const Any = Type.Object({}, { additionalProperties: true });
const params = Type.Object({ workspaceId: Type.String() });
const closed = Type.Object({}, { additionalProperties: false });

function routes(app: FastifyInstance, held: Held): void {
  const schema = (operationId: string) => ({
    operationId,
    tags: ['test'],
    summary: operationId,
    params,
    response: { 200: Any },
  });
  const get = { permission: 'agents.read', audit: [] };
  app.get('/v1/workspaces/:workspaceId/read', config('read'), async () => ({}));
  app.get('/v1/workspaces/:workspaceId/held', config('held'), async () => {
    await held.wait();
    return {};
  });
  for (const [name, lane] of [
    ['write', undefined],
    ['brake', 'brake'],
  ] as const) {
    const declared: { permission: string; audit: string[]; lane?: Lane } = { permission: 'agents.run', audit: ['x'] };
    if (lane !== undefined) declared.lane = lane;
    app.post(
      `/v1/workspaces/:workspaceId/${name}`,
      { config: declared, schema: { ...schema(name), body: Any } },
      async () => ({}),
    );
    app.post(
      `/v1/workspaces/:workspaceId/${name}/held`,
      { config: { ...declared }, schema: { ...schema(`${name}Held`), body: Any } },
      async () => {
        await held.wait();
        return {};
      },
    );
  }

  // Its workspace is in the body.
  const Found = Type.Object({ workspaceId: Type.String() }, { additionalProperties: false });
  app.post<{ Body: { workspaceId: string } }>(
    '/v1/found',
    {
      config: { permission: 'agents.run', audit: ['x'], scope: 'agent' },
      schema: { operationId: 'found', tags: ['test'], summary: 'found', body: Found, response: { 200: Any } },
    },
    async (request) => {
      request.requireWorkspace(request.body.workspaceId);
      if (request.body.workspaceId === 'held') await held.wait();
      return {};
    },
  );

  function config(operationId: string) {
    return { config: { ...get }, schema: { ...schema(operationId), querystring: closed } };
  }
}
