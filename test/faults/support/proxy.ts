import { connect, createServer, type Server, type Socket } from 'node:net';

/** Bytes kept of what passed, so that a word cut in two by the network is still seen. */
const CARRIED = 16;

/** What happens to the connections between the service and PostgreSQL. */
export type ProxyFault =
  | { readonly kind: 'none' }
  /** Each piece is held back for that long, in both directions. */
  | { readonly kind: 'delay'; readonly ms: number }
  /** Each connection is cut once that many more bytes have passed in that direction. */
  | { readonly kind: 'cut'; readonly direction: 'to-database' | 'to-service'; readonly atByte: number }
  /** Connections stay open and nothing passes. */
  | { readonly kind: 'black-hole' }
  /** New connections are reset at once, and those that are open are cut. */
  | { readonly kind: 'refuse' }
  /**
   * The nth COMMIT of a writing transaction and every later one: `answer` lets it reach the database and cuts the
   * connection when the database has committed; `request` cuts before it gets there.
   */
  | { readonly kind: 'cut-at-commit'; readonly lost: 'answer' | 'request'; readonly nth: number };

export interface DatabaseProxy {
  readonly port: number;
  /** The same login and database, through the proxy. */
  through(databaseUrl: string): string;
  apply(fault: ProxyFault): void;
  /** How often the present fault has struck. */
  readonly struck: number;
  close(): Promise<void>;
}

interface Link {
  readonly client: Socket;
  readonly database: Socket;
  /** Bytes since the present fault. */
  readonly passed: { 'to-database': number; 'to-service': number };
  carry: string;
  writing: boolean;
  /** A COMMIT is on its way, and its answer must not arrive. */
  condemned: boolean;
}

/** A TCP proxy of ours on 127.0.0.1 in front of a PostgreSQL, whose faults are switched while connections are open. */
export async function startProxy(target: { readonly host: string; readonly port: number }): Promise<DatabaseProxy> {
  let fault: ProxyFault = { kind: 'none' };
  let struck = 0;
  let commits = 0;
  const links = new Set<Link>();
  const timers = new Set<NodeJS.Timeout>();

  const server = createServer((client) => {
    if (fault.kind === 'refuse') {
      struck += 1;
      client.resetAndDestroy();
      return;
    }
    const database = connect(target);
    const link: Link = {
      client,
      database,
      passed: { 'to-database': 0, 'to-service': 0 },
      carry: '',
      writing: false,
      condemned: false,
    };
    links.add(link);
    for (const socket of [client, database]) {
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => end(link));
    }
    client.on('data', (chunk) => pass(link, 'to-database', chunk));
    database.on('data', (chunk) => pass(link, 'to-service', chunk));
  });

  function end(link: Link): void {
    links.delete(link);
    link.client.destroy();
    link.database.destroy();
  }

  function cut(link: Link): void {
    struck += 1;
    links.delete(link);
    link.client.resetAndDestroy();
    link.database.resetAndDestroy();
  }

  function pass(link: Link, direction: 'to-database' | 'to-service', chunk: Buffer): void {
    const to = direction === 'to-database' ? link.database : link.client;
    if (direction === 'to-database') watch(link, chunk);
    switch (fault.kind) {
      case 'none':
      case 'refuse':
        to.write(chunk);
        return;
      case 'black-hole':
        struck += 1;
        return;
      case 'delay': {
        struck += 1;
        const timer = setTimeout(() => {
          timers.delete(timer);
          to.write(chunk);
        }, fault.ms);
        timers.add(timer);
        return;
      }
      case 'cut':
        passUntilCut(link, direction, to, chunk, fault);
        return;
      case 'cut-at-commit':
        passUntilCommit(link, direction, to, chunk, fault);
        return;
    }
  }

  function watch(link: Link, chunk: Buffer): void {
    const text = link.carry + chunk.toString('latin1');
    if (text.includes('READ WRITE')) link.writing = true;
    else if (text.includes('READ ONLY')) link.writing = false;
    link.carry = text.slice(-CARRIED);
  }

  function passUntilCut(
    link: Link,
    direction: 'to-database' | 'to-service',
    to: Socket,
    chunk: Buffer,
    at: Extract<ProxyFault, { kind: 'cut' }>,
  ): void {
    const left = at.atByte - link.passed[direction];
    link.passed[direction] += chunk.length;
    if (direction !== at.direction || chunk.length < left) {
      to.write(chunk);
      return;
    }
    to.write(chunk.subarray(0, left), () => cut(link));
  }

  function passUntilCommit(
    link: Link,
    direction: 'to-database' | 'to-service',
    to: Socket,
    chunk: Buffer,
    at: Extract<ProxyFault, { kind: 'cut-at-commit' }>,
  ): void {
    const text = chunk.toString('latin1');
    if (direction === 'to-database' && link.writing && text.includes('COMMIT')) {
      commits += 1;
      if (commits >= at.nth && at.lost === 'request') {
        cut(link);
        return;
      }
      link.condemned = commits >= at.nth;
    } else if (direction === 'to-service' && link.condemned && text.includes('COMMIT\0')) {
      // The tag of the command that the database has completed.
      cut(link);
      return;
    }
    to.write(chunk);
  }

  const port = await listen(server);
  return {
    port,
    through: (databaseUrl) => {
      const url = new URL(databaseUrl);
      url.hostname = '127.0.0.1';
      url.port = String(port);
      return url.href;
    },
    apply: (next) => {
      const wasHole = fault.kind === 'black-hole';
      fault = next;
      struck = 0;
      commits = 0;
      for (const link of links) {
        link.passed['to-database'] = 0;
        link.passed['to-service'] = 0;
        link.condemned = false;
        // What a hole has swallowed is gone: such a connection cannot go on.
        if (next.kind === 'refuse' || wasHole) cut(link);
      }
    },
    get struck() {
      return struck;
    },
    close: async () => {
      for (const timer of timers) clearTimeout(timer);
      for (const link of links) end(link);
      const { promise, resolve } = Promise.withResolvers<void>();
      server.close(() => resolve());
      await promise;
    },
  };
}

async function listen(server: Server): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.once('error', reject);
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    if (typeof address === 'object' && address !== null) resolve(address.port);
    else reject(new Error('no address'));
  });
  return promise;
}
