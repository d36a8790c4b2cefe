import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import { requireWorkspace } from './access.ts';
import { accessOf, type Elevations, NO_ELEVATIONS } from './elevation.ts';
import { IdentityProviderUnavailable, Unauthenticated } from './errors.ts';
import type { Principal } from './principal.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who calls. Throws Unauthenticated on a public route, where nobody was asked. */
    readonly principal: Principal;
    /**
     * For routes that find their workspace themselves: throws AccessDenied (404) unless it is the caller's, RetryLater when
     * it is sent too much.
     */
    requireWorkspace(workspaceId: string, agentId?: string): void;
  }
}

export interface IdentityOptions {
  /** Throws Unauthenticated. The socket is the request's; the request is there for tokens. */
  readonly authenticate: (socket: Socket, request: FastifyRequest) => Principal | Promise<Principal>;
  /** Asked once the caller is known, before its access is judged, so that refused access is bounded too. False: it has answered. */
  readonly admit?: (principal: Principal, request: FastifyRequest, reply: FastifyReply) => boolean;
  /** Elevations that let a caller pass where its own roles do not. */
  readonly elevations?: Elevations;
  /** Told of the workspace that a route found, once it is known to be the caller's. */
  readonly charge?: (request: FastifyRequest, workspaceId: string) => void;
}

/** Authenticates and authorises every request before its body is read, and unknown paths too: a stranger learns no routes. */
export const identityPlugin = fastifyPlugin(
  async (app: FastifyInstance, options: IdentityOptions) => {
    const principals = new WeakMap<FastifyRequest, Principal>();

    app.decorateRequest('principal', {
      getter(this: FastifyRequest) {
        const principal = principals.get(this);
        if (principal === undefined) throw new Unauthenticated('NO_IDENTITY');
        return principal;
      },
    });
    app.decorateRequest('requireWorkspace', function (this: FastifyRequest, workspaceId: string, agentId?: string) {
      requireWorkspace(this.principal, this, workspaceId, agentId);
      options.charge?.(this, workspaceId);
    });

    app.addHook('onRequest', async (request, reply) => {
      const isPublic = !request.is404 && request.routeOptions.config.permission === 'public';
      // A forged identity is refused wherever it is sent (contract §3).
      if (isPublic && request.headers['x-forwarded-client-cert'] === undefined) return;
      try {
        principals.set(request, await options.authenticate(request.raw.socket, request));
      } catch (error) {
        if (error instanceof Unauthenticated) request.log.warn({ reason: error.reason }, 'unauthenticated');
        // RFC 6750 §3: without saying what was wrong with the token.
        if (isAboutToken(error)) reply.header('www-authenticate', 'Bearer');
        // The connection's identity will not become better; make the client come back with another.
        else if (!(error instanceof IdentityProviderUnavailable)) reply.header('connection', 'close');
        throw error;
      }
      if (isPublic) return;
      if (options.admit?.(request.principal, request, reply) === false) return reply;
      if (request.is404) return;
      principals.set(request, await accessOf(request.principal, request, options.elevations ?? NO_ELEVATIONS));
    });
  },
  { name: 'identity', fastify: '5.x', dependencies: ['problem', 'refusals', 'route-contract'] },
);

/** A gateway carries the tokens of many: a bad one of somebody else is no reason to lose the connection. */
function isAboutToken(error: unknown): boolean {
  return error instanceof Unauthenticated && /^(?:NO_)?TOKEN/.test(error.reason);
}
