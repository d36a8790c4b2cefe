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
    /** The same; null where nobody was asked. For the identity plugin. */
    known: Principal | null;
    /**
     * For routes that find their workspace themselves: throws AccessDenied (404) unless it is the caller's, RetryLater when
     * it is sent too much.
     */
    requireWorkspace(workspaceId: string, agentId?: string): void;
    /** The workspace that such a route has found to be the caller's; empty before, and on every other route. */
    foundWorkspace: string;
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
    const { elevations = NO_ELEVATIONS } = options;
    app.decorateRequest('known', null);
    app.decorateRequest('principal', {
      getter(this: FastifyRequest) {
        if (this.known === null) throw new Unauthenticated('NO_IDENTITY');
        return this.known;
      },
    });
    app.decorateRequest('foundWorkspace', '');
    app.decorateRequest('requireWorkspace', function (this: FastifyRequest, workspaceId: string, agentId?: string) {
      requireWorkspace(this.principal, this, workspaceId, agentId);
      this.foundWorkspace = workspaceId;
      options.charge?.(this, workspaceId);
    });

    /** Undefined when the caller was sent away and has its answer. */
    function letIn(principal: Principal, request: FastifyRequest, reply: FastifyReply): Known | undefined {
      request.known = principal;
      if (!request.is404 && isPublic(request)) return principal;
      if (options.admit?.(principal, request, reply) === false) return undefined;
      return request.is404 ? principal : accessOf(principal, request, elevations);
    }

    function authenticated(request: FastifyRequest, reply: FastifyReply): Known {
      try {
        const found = options.authenticate(request.raw.socket, request);
        return found instanceof Promise ? found.catch((error: unknown) => explain(error, request, reply)) : found;
      } catch (error) {
        return explain(error, request, reply);
      }
    }

    async function letInLater(found: Known, request: FastifyRequest, reply: FastifyReply, done: Done): Promise<void> {
      let entered: Principal | undefined;
      try {
        entered = await letIn(await found, request, reply);
      } catch (error) {
        done(asError(error));
        return;
      }
      enter(entered, request, done);
    }

    function enter(principal: Principal | undefined, request: FastifyRequest, done: Done): void {
      if (principal === undefined) return;
      request.known = principal;
      done();
    }

    // With a callback: most callers are known at once, and promises would be most of what this costs.
    app.addHook('onRequest', (request, reply, done) => {
      // A forged identity is refused wherever it is sent (contract §3).
      if (!request.is404 && isPublic(request) && request.headers['x-forwarded-client-cert'] === undefined) {
        done();
        return;
      }
      let entered: Known | undefined;
      try {
        const found = authenticated(request, reply);
        if (found instanceof Promise) {
          void letInLater(found, request, reply, done);
          return;
        }
        entered = letIn(found, request, reply);
      } catch (error) {
        done(asError(error));
        return;
      }
      if (entered instanceof Promise) {
        entered.then(
          (principal) => enter(principal, request, done),
          (error: unknown) => done(asError(error)),
        );
      } else enter(entered, request, done);
    });
  },
  { name: 'identity', fastify: '5.x', dependencies: ['problem', 'refusals', 'route-contract'] },
);

type Known = Principal | Promise<Principal>;
type Done = (error?: Error) => void;

function isPublic(request: FastifyRequest): boolean {
  return request.routeOptions.config.permission === 'public';
}

/** Throws what it is given, with what the answer says beside it. */
function explain(error: unknown, request: FastifyRequest, reply: FastifyReply): never {
  if (error instanceof Unauthenticated)
    request.log.warn({ reason: error.reason, claimed: error.claimed?.id }, 'unauthenticated');
  // RFC 6750 §3: without saying what was wrong with the token.
  if (isAboutToken(error)) reply.header('www-authenticate', 'Bearer');
  // The connection's identity will not become better; make the client come back with another.
  else if (!(error instanceof IdentityProviderUnavailable)) reply.header('connection', 'close');
  throw error;
}

/** A gateway carries the tokens of many: a bad one of somebody else is no reason to lose the connection. */
function isAboutToken(error: unknown): boolean {
  return error instanceof Unauthenticated && /^(?:NO_)?TOKEN/.test(error.reason);
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error('thrown', { cause: thrown });
}
