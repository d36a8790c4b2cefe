import { createServer } from 'node:net';
import type { Duplex } from 'node:stream';

import type { EgressDecision } from '../runtime/isolation.ts';
import { createFloodWatch } from './flood.ts';
import { createFront } from './front.ts';
import { createSession, type SessionOptions } from './session.ts';

/** The way out of one sandbox: whoever can reach a socket of it is that sandbox. */
export interface EgressProxy {
  /** Takes one connection of the sandbox; best one with `allowHalfOpen`. */
  serve(socket: Duplex): void;
  /** Takes connections at a unix socket; who may reach it is for the caller to set. */
  listen(path: string): Promise<void>;
  /** At most the first 1,000, with the bytes so far. */
  readonly decisions: readonly EgressDecision[];
  /** Decisions that were made after those. */
  readonly omittedDecisions: number;
  /** Ends every connection and the sockets listened at. Safe to call twice. */
  close(): Promise<void>;
}

/** HTTP proxy (CONNECT and absolute-form) for one sandbox. Nothing is reached that `allowDomains` does not name. */
export function openEgress(options: SessionOptions): EgressProxy {
  const session = createSession(options);
  const { connections, headMs } = session.limits;
  const front = createFront({ sessionOf: () => session, sockets: connections, headMs });
  const closers = new Set<() => Promise<void>>();
  return {
    serve: front.serve,
    listen: async (path) => {
      const isFlood = createFloodWatch(session.limits.flood);
      const server = createServer({ allowHalfOpen: true }, (socket) => {
        front.serve(socket);
        if (!isFlood() || !server.listening) return;
        // From here on the kernel refuses them, which costs nobody else anything.
        session.deny('*', 0, 'TOO_MANY_CONNECTIONS');
        server.close();
      });
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      // For good: a later one, such as no descriptor for who comes next, must not end the process.
      server.on('error', reject);
      server.listen(path, resolve);
      await promise;
      closers.add(() => new Promise((done) => server.close(() => done())));
    },
    get decisions() {
      return session.decisions;
    },
    get omittedDecisions() {
      return session.omittedDecisions;
    },
    close: async () => {
      const ended = [...closers].map((close) => close());
      closers.clear();
      const exchanges = session.close();
      front.close();
      await Promise.all([...ended, exchanges]);
    },
  };
}
