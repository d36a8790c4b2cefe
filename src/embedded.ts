import { AsyncLocalStorage } from 'node:async_hooks';
import { Socket } from 'node:net';
import type { FastifyInstance, HTTPMethods } from 'fastify';
import type { IdentityOptions } from './identity/plugin.ts';
import type { Principal } from './identity/principal.ts';

/** One request of this process. Lets exactly one request in, so that nothing started by its handler can pass as well. */
interface Ticket {
  readonly principal: Principal;
  spent: boolean;
}

export interface EmbeddedRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  readonly signal?: AbortSignal;
}

export interface EmbeddedAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: Uint8Array;
}

export interface EmbeddedDispatcher {
  dispatch(request: EmbeddedRequest): Promise<EmbeddedAnswer>;
}

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const satisfies readonly HTTPMethods[];

// Held by the call stack, not by the request: no header, socket or byte from outside can bring one along.
const tickets = new AsyncLocalStorage<Ticket>();

/** Accepts what `embeddedDispatcher` sends, and leaves every other request to `authenticate`. */
export function acceptEmbedded(authenticate: IdentityOptions['authenticate']): IdentityOptions['authenticate'] {
  return (socket, request) => {
    const ticket = tickets.getStore();
    // A request on a socket came from outside, whatever its context says.
    if (ticket === undefined || ticket.spent || socket instanceof Socket) return authenticate(socket, request);
    ticket.spent = true;
    return ticket.principal;
  };
}

/**
 * Gives requests to the app as one principal, without a socket: the same identity, permission, limits and route as on the wire.
 * The app must have been built with `acceptEmbedded`; else every answer is 401.
 */
export function embeddedDispatcher(app: FastifyInstance, principal: Principal): EmbeddedDispatcher {
  const fixed = structuredClone(principal);
  return {
    dispatch: async ({ method, path, headers, body, signal }) => {
      const known = METHODS.find((one) => one === method);
      if (known === undefined) throw new TypeError(`there is no route for ${method}`);
      const request = {
        method: known,
        url: path,
        headers: { ...headers },
        ...(body === undefined ? {} : { payload: body }),
        ...(signal === undefined ? {} : { signal }),
      };
      // `inject` begins only when it is awaited, so that must happen inside.
      const answer = await tickets.run({ principal: fixed, spent: false }, async () => await app.inject(request));
      return { status: answer.statusCode, headers: headersOf(answer.headers), body: answer.rawPayload };
    },
  };
}

function headersOf(headers: Readonly<Record<string, unknown>>): EmbeddedAnswer['headers'] {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.map(String) : String(value)]),
  );
}
