import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { makeDevelopmentCertificates } from '../../../src/certs/development.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../../src/storage/embedded/server.ts';
import { quiet, testServerUrl } from '../../support/postgres.ts';
import { Skipped } from './skipped.ts';

const execute = promisify(execFile);
/** Room for a cluster, its log of transactions and a few databases. */
const SMALL_BYTES = 400 * 1024 * 1024;

/** A PostgreSQL of the harness's own, which a run may stop, kill and start again. */
export interface OwnServer {
  readonly dataDir: string;
  url(): string;
  stop(): Promise<void>;
  /** SIGKILL of the postmaster, as a crash would be. */
  crash(): Promise<void>;
  /** On the port it had. */
  start(): Promise<void>;
  /** Ended, unless it has ended by itself, and started again. */
  restart(): Promise<void>;
}

/** What the runs of one process share, because it is slow to make: certificates and servers. */
export interface Harness {
  readonly certsDir: string;
  /** Where instances keep their compiled modules. */
  readonly compileCache: string;
  /** Ms a client of the load takes between two calls. */
  readonly thinkMs: number;
  /** A server that no run may harm. */
  serverUrl(): Promise<string>;
  ownServer(): Promise<OwnServer>;
  /** One on a file system of its own that is soon full. Throws Skipped where none can be mounted. */
  smallServer(): Promise<OwnServer>;
  close(): Promise<void>;
}

export async function openHarness(options: { certsDir?: string | undefined; thinkMs?: number } = {}): Promise<Harness> {
  const home = await mkdtemp(join(tmpdir(), 'castellan-faults-'));
  const certsDir = options.certsDir ?? join(home, 'certs');
  if (options.certsDir === undefined) await makeDevelopmentCertificates(certsDir, { trustDomain: 'castellan.dev' });
  let own: Promise<OwnServer> | undefined;
  let small: Promise<OwnServer> | undefined;
  return {
    certsDir,
    compileCache: join(home, 'compiled'),
    thinkMs: options.thinkMs ?? 0,
    serverUrl: testServerUrl,
    ownServer: () => {
      own ??= startOwnServer(join(home, 'postgres'));
      return own;
    },
    smallServer: () => {
      small ??= mountSmall(join(home, 'small')).then((dir) => startOwnServer(join(dir, 'data')));
      return small;
    },
    close: async () => {
      await (await own)?.stop();
      const mounted = await small?.catch(() => undefined);
      await mounted?.stop();
      if (mounted !== undefined) await execute('umount', [join(home, 'small')]);
      await rm(home, { recursive: true, force: true });
    },
  };
}

/** Kept on disk and with fsync, as a real one: what was committed must survive its crash. */
export async function startOwnServer(dataDir: string): Promise<OwnServer> {
  let server: EmbeddedPostgres | undefined = await startEmbeddedPostgres({ dataDir, logger: quiet });
  const { port, superuserUrl } = server;
  return {
    dataDir,
    url: () => superuserUrl,
    stop: async () => {
      await server?.stop();
      server = undefined;
    },
    crash: async () => {
      server?.kill();
      // Gives the data directory back; the server has ended already.
      await server?.stop();
      server = undefined;
    },
    start: async () => {
      server ??= await startEmbeddedPostgres({ dataDir, port, logger: quiet });
    },
    restart: async () => {
      await server?.stop();
      server = await startEmbeddedPostgres({ dataDir, port, logger: quiet });
    },
  };
}

/** A tmpfs of SMALL_BYTES. */
async function mountSmall(dir: string): Promise<string> {
  await mkdir(dir, { recursive: true });
  // The server's own account walks through it.
  await chmod(join(dir, '..'), 0o755);
  try {
    await execute('mount', ['-t', 'tmpfs', '-o', `size=${SMALL_BYTES},mode=755`, 'castellan-faults', dir]);
  } catch {
    throw new Skipped('no file system can be mounted here (root in its own mount namespace is needed)');
  }
  return dir;
}
