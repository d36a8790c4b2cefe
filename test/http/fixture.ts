import { type AddressInfo, connect as connectTcp } from 'node:net';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { Type } from '@sinclair/typebox';
import Fastify, { type FastifyInstance } from 'fastify';
import type { Issued } from '../../src/certs/authority.ts';
import { type Clock, systemClock } from '../../src/clock.ts';
import { connectionsPlugin } from '../../src/http/drain.ts';
import { jsonBodyPlugin, optionalBody } from '../../src/http/json-body.ts';
import { openApiPlugin } from '../../src/http/openapi.ts';
import { problemPlugin } from '../../src/http/problem.ts';
import { queryTypesPlugin } from '../../src/http/query-types.ts';
import { refusalsPlugin } from '../../src/http/refusals.ts';
import { requestContextPlugin } from '../../src/http/request-context.ts';
import { routeContractPlugin } from '../../src/http/route-contract.ts';
import { applyServerLimits, fastifyOptions } from '../../src/http/server-options.ts';
import { isPermission } from '../../src/identity/permissions.ts';
import { type IdentityOptions, identityPlugin } from '../../src/identity/plugin.ts';
import type { Principal } from '../../src/identity/principal.ts';

export const ANYONE: Principal = { id: 'someone', kind: 'human', roles: ['kernel-admin'], workspaces: '*' };

export interface FixtureOptions {
  readonly server: Issued;
  readonly authority: Issued;
  readonly clock?: Clock;
  readonly requireCertificate?: boolean;
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3';
  readonly authenticate?: IdentityOptions['authenticate'];
  readonly routes?: (app: FastifyInstance) => void;
}

const closed = { additionalProperties: false };
export const NoQuery = Type.Object({}, closed);

/** The HTTP side of the service with a few routes of its own, as app.ts puts it together. */
export async function buildApp(options: FixtureOptions): Promise<FastifyInstance> {
  const app: FastifyInstance = Fastify(
    fastifyOptions({
      tls: {
        key: options.server.key,
        cert: options.server.cert,
        clientCa: options.authority.cert,
        minVersion: options.minVersion ?? 'TLSv1.3',
        requireCertificate: options.requireCertificate ?? true,
      },
      random: () => 0.5,
    }),
  );
  applyServerLimits(app.server);
  await app.register(routeContractPlugin, { isPermission, exemptPrefixes: ['/docs'] });
  await app.register(problemPlugin, { random: () => 0.5 });
  await app.register(connectionsPlugin, { clock: options.clock ?? systemClock });
  await app.register(requestContextPlugin);
  await app.register(refusalsPlugin);
  await app.register(identityPlugin, { authenticate: options.authenticate ?? (() => ANYONE) });
  await app.register(queryTypesPlugin);
  await app.register(jsonBodyPlugin);
  await app.register(openApiPlugin, { version: '0.0.0' });
  sampleRoutes(app);
  options.routes?.(app);
  return app;
}

const documented = (operationId: string) => ({ operationId, tags: ['test'], summary: operationId });
const Any = Type.Object({}, { additionalProperties: true });

function sampleRoutes(app: FastifyInstance): void {
  app.get(
    '/v1/workspaces/:workspaceId/agents',
    {
      config: { permission: 'agents.read', audit: [] },
      schema: {
        ...documented('listAgents'),
        params: Type.Object({ workspaceId: Type.String() }),
        querystring: Type.Object({ limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500 })) }, closed),
        response: { 200: Any },
      },
    },
    async (request) => ({ who: request.principal.id, query: request.query, traceId: request.traceId }),
  );
  app.post(
    '/v1/workspaces/:workspaceId/agents',
    {
      config: { permission: 'agents.write', audit: ['agent.created'] },
      schema: {
        ...documented('createAgent'),
        params: Type.Object({ workspaceId: Type.String() }),
        body: Type.Object({ name: Type.String({ maxLength: 8 }), count: Type.Optional(Type.Integer()) }, closed),
        response: { 201: Any },
      },
    },
    async (request, reply) => reply.code(201).send({ body: request.body }),
  );
  app.patch(
    '/v1/workspaces/:workspaceId/agents/:agentId',
    {
      config: { permission: 'agents.write', audit: ['agent.updated'] },
      schema: {
        ...documented('patchAgent'),
        params: Type.Object({ workspaceId: Type.String(), agentId: Type.String() }),
        body: Type.Object({}, { additionalProperties: true }),
        response: { 200: Any },
      },
    },
    async (request) => ({ body: request.body }),
  );
  app.post(
    '/v1/workspaces/:workspaceId/agents/:agentId/stop',
    {
      config: { permission: 'agents.run', audit: ['agent.stopped'] },
      schema: {
        ...documented('stopAgent'),
        params: Type.Object({ workspaceId: Type.String(), agentId: Type.String() }),
        body: optionalBody(Type.Object({ reason: Type.Optional(Type.String()) }, closed)),
        response: { 200: Any },
      },
    },
    async (request) => ({ body: request.body ?? null }),
  );
  app.get(
    '/v1/workspaces/:workspaceId/agents/:agentId',
    {
      config: { permission: 'agents.read', audit: [] },
      schema: {
        ...documented('getAgent'),
        params: Type.Object({ workspaceId: Type.String(), agentId: Type.String() }),
        querystring: NoQuery,
        response: { 200: Any },
      },
    },
    async (request) => ({ who: request.principal.id }),
  );
}

export async function listen(app: FastifyInstance): Promise<number> {
  await app.listen({ host: '127.0.0.1', port: 0 });
  return (app.server.address() as AddressInfo).port;
}

export interface RawAnswer {
  readonly status: number;
  readonly text: string;
  readonly headers: string;
  readonly closed: boolean;
}

/** A TLS connection to the app, once its handshake is over. */
export function openTls(port: number, options: ConnectionOptions): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket: TLSSocket = connect({ port, host: '127.0.0.1', servername: 'localhost', ...options }, () =>
      resolve(socket),
    );
    socket.once('error', reject);
  });
}

/** A bare TCP connection that never begins a handshake. */
export function openTcp(port: number) {
  return connectTcp({ port, host: '127.0.0.1' });
}

/** Sends bytes as they are and reads until the server closes the connection. */
export async function sendRaw(socket: TLSSocket, bytes: string | Buffer): Promise<RawAnswer> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  const closed = new Promise<boolean>((resolve) => {
    socket.once('close', () => resolve(true));
    socket.once('error', () => resolve(true));
    setTimeout(() => resolve(false), 3_000).unref();
  });
  socket.write(bytes);
  const isClosed = await closed;
  socket.destroy();
  const answer = Buffer.concat(chunks).toString('latin1');
  const [headers = '', text = ''] = answer.split('\r\n\r\n');
  return { status: Number(/^HTTP\/1\.1 (\d{3})/.exec(headers)?.[1] ?? 0), headers, text, closed: isClosed };
}
