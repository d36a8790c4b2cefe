import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';

import type { HostPort } from '../config/runtime.ts';
import { createFront } from './front.ts';
import type { EgressProxy } from './proxy.ts';
import type { EgressRules } from './rules.ts';
import { createSession, type EgressSession, RUN_LIMITS, type SessionOptions } from './session.ts';

/** Connections of all pods together. */
const MAX_SOCKETS = 4096;
const SECRET_BYTES = 32;

/** What a pod says who it is with: `Proxy-Authorization: Basic`, or `http://username:password@proxy`. URL-safe. */
export interface EgressCredential {
  readonly username: string;
  readonly password: string;
}

export interface EgressRegistration extends Pick<EgressProxy, 'decisions' | 'omittedDecisions' | 'close'> {
  readonly credential: EgressCredential;
}

/** One listener for all pods, each known by its credential. */
export interface EgressListener {
  /** Resolves with where it listens. */
  listen(): Promise<HostPort>;
  /**
   * A way out for one pod, until it is closed. `credential`: one that was made before, by this replica or another one, for a
   * pod that lives on; a username that is in use is taken over. Without it a new one is made.
   */
  register(options: Omit<SessionOptions, 'rules'> & { readonly credential?: EgressCredential }): EgressRegistration;
  close(): Promise<void>;
}

interface Registered {
  readonly session: EgressSession;
  readonly digest: Buffer;
}

export function createEgressListener(rules: EgressRules, address: HostPort): EgressListener {
  const registered = new Map<string, Registered>();
  const nobody = digestOf(newCredential());
  const sessionOf = (request: IncomingMessage) => {
    const presented = readCredential(request.headers['proxy-authorization']);
    if (presented === undefined) return undefined;
    const known = registered.get(presented.username);
    // As long for a name that nobody has as for a wrong password.
    const same = timingSafeEqual(digestOf(presented), known?.digest ?? nobody);
    return same ? known?.session : undefined;
  };
  const front = createFront({ sessionOf, sockets: MAX_SOCKETS, headMs: RUN_LIMITS.headMs });
  const server = createServer({ allowHalfOpen: true }, front.serve);

  return {
    listen: async () => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      // For good: a later one, such as no descriptor for who comes next, must not end the process.
      server.on('error', reject);
      server.listen(address, resolve);
      await promise;
      return { host: address.host, port: portOf(server.address()) };
    },
    register: ({ credential = newCredential(), ...options }) => {
      const { username } = credential;
      void registered.get(username)?.session.close();
      const session = createSession({ ...options, rules });
      registered.set(username, { session, digest: digestOf(credential) });
      return {
        credential,
        get decisions() {
          return session.decisions;
        },
        get omittedDecisions() {
          return session.omittedDecisions;
        },
        close: async () => {
          if (registered.get(username)?.session === session) registered.delete(username);
          await session.close();
        },
      };
    },
    close: async () => {
      const ended = [...registered.values()].map(({ session }) => session.close());
      registered.clear();
      const closed = server.listening ? new Promise<void>((done) => server.close(() => done())) : undefined;
      front.close();
      await Promise.all([...ended, closed]);
    },
  };
}

function newCredential(): EgressCredential {
  return { username: randomBytes(12).toString('hex'), password: randomBytes(SECRET_BYTES).toString('base64url') };
}

function digestOf({ username, password }: EgressCredential): Buffer {
  return createHash('sha256').update(`${username}:${password}`).digest();
}

function readCredential(header: string | undefined): EgressCredential | undefined {
  const [, encoded] = /^basic ([A-Za-z0-9+/]{1,512}={0,2})$/i.exec(header ?? '') ?? [];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64').toString('latin1');
  const colon = text.indexOf(':');
  return colon === -1 ? undefined : { username: text.slice(0, colon), password: text.slice(colon + 1) };
}

function portOf(address: string | AddressInfo | null): number {
  if (address === null || typeof address === 'string') throw new TypeError('the egress proxy does not listen');
  return address.port;
}
