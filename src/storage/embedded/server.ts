import { type ChildProcess, spawn } from 'node:child_process';
import { open, readFile, rename, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { type Account, serverAccount } from './account.ts';
import { type Binaries, findBinaries } from './binaries.ts';
import { type Cluster, ensureCluster, ensureDataDir, pathForServer, SUPERUSER, temporaryDataDir } from './cluster.ts';
import { CLEAN_ENVIRONMENT } from './command.ts';
import { EmbeddedPostgresError } from './errors.ts';
import { claimDataDir } from './owner.ts';
import { endServer, readPidFile, stopOrphan } from './postmaster.ts';

const HOST = '127.0.0.1';
/** ms; recovery after a crash may take a while. */
const START_LIMIT_MS = 60_000;
const POLL_MS = 10;
/** ms between attempts while backends of a killed server are still ending. */
const RETRY_MS = 100;

/** What the server says when the port was taken between choosing and binding it. */
const PORT_TAKEN = /could not bind|Address already in use|could not create any TCP\/IP sockets/;
/** What it says while processes of a killed predecessor are still attached. */
const PREDECESSOR_ENDING = /pre-existing shared memory block|lock file "postmaster.pid" already exists/;

export interface EmbeddedPostgres {
  readonly superuserUrl: string;
  readonly host: string;
  readonly port: number;
  /** The server's process. */
  readonly pid: number;
  /** Fast shutdown, immediate after 10 s; resolves when the server is gone. Safe to call twice. */
  stop(): Promise<void>;
  /** SIGKILL, as a crash would be. For tests. */
  kill(): void;
}

export type EmbeddedPostgresOptions = {
  /** 0, the default: any free port. */
  readonly port?: number;
  /** Use these binaries instead of the platform's package or the newest on this machine. */
  readonly binaries?: Binaries;
  readonly logger: { warn(fields: object, message: string): void };
} & (
  | { /** Kept between runs; holds the cluster, its password and its log. */ readonly dataDir: string }
  | { /** In a temporary directory that `stop` removes, without fsync. */ readonly ephemeral: true }
);

/**
 * Starts a PostgreSQL of our own on 127.0.0.1 and resolves when it accepts connections. What a killed service left behind on
 * the data directory is recovered; a data directory in use by a living one is refused.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const account = await serverAccount();
  const binaries = options.binaries ?? (await findBinaries(account));
  const ephemeral = !('dataDir' in options);
  const dataDir = await (ephemeral ? temporaryDataDir(account) : ensureDataDir(resolve(options.dataDir), account));
  const giveBack = await claimDataDir(dataDir);
  const cleanUp = () => (ephemeral ? rm(dataDir, { recursive: true, force: true }) : giveBack());
  try {
    await stopOrphan(join(dataDir, 'pgdata'), options.logger);
    const cluster = await ensureCluster(dataDir, binaries, account, !ephemeral);
    const log = join(dataDir, 'postgres.log');
    await rename(log, `${log}.1`).catch(ignoreMissing);
    const server = await launch({ cluster, binaries, account, log, durable: !ephemeral }, options.port ?? 0);
    return running(server, cluster, cleanUp, options.logger);
  } catch (error) {
    await cleanUp();
    throw error;
  }
}

interface Launch {
  readonly cluster: Cluster;
  readonly binaries: Binaries;
  readonly account: Account | undefined;
  readonly log: string;
  readonly durable: boolean;
}

interface Server {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly port: number;
}

async function launch(launch: Launch, wantedPort: number): Promise<Server> {
  for (const deadline = Date.now() + START_LIMIT_MS; ; ) {
    const port = wantedPort === 0 ? await freePort() : wantedPort;
    const child = await spawnServer(launch, port);
    if (await becomesReady(child, launch.cluster.pgdata, deadline)) {
      return { child, pid: child.pid ?? 0, port };
    }
    const said = await readFile(launch.log, 'utf8');
    const again = PREDECESSOR_ENDING.test(said) || (wantedPort === 0 && PORT_TAKEN.test(said));
    if (!again || Date.now() > deadline) {
      const reason = said.split('\n').findLast((line) => line.includes('FATAL')) ?? 'see its log';
      throw new EmbeddedPostgresError('START_FAILED', `PostgreSQL did not start (${launch.log}): ${reason}`);
    }
    await rm(launch.log);
    await delay(RETRY_MS);
  }
}

async function spawnServer({ cluster, binaries, account, log, durable }: Launch, port: number): Promise<ChildProcess> {
  const settings = [
    `listen_addresses=${HOST}`,
    `port=${port}`,
    // No socket in the file system: it would be a second way in.
    'unix_socket_directories=',
    'max_connections=200',
    'logging_collector=off',
    'log_destination=stderr',
    ...(durable ? [] : ['fsync=off', 'full_page_writes=off']),
  ];
  const output = await open(log, 'a', 0o600);
  try {
    const child = spawn(
      join(binaries.binDir, 'postgres'),
      [
        '-D',
        await pathForServer(cluster.pgdata, account, binaries.major),
        ...settings.flatMap((setting) => ['-c', setting]),
      ],
      {
        cwd: cluster.pgdata,
        env: CLEAN_ENVIRONMENT,
        stdio: ['ignore', output.fd, output.fd],
        // Its own process group: Ctrl-C must reach the service first, which then stops its database last.
        detached: true,
        ...account,
      },
    );
    // A failed spawn shows as a child without pid, which never becomes ready.
    child.on('error', () => undefined);
    return child;
  } finally {
    await output.close();
  }
}

/** False when the server ended, or was ended because it took too long. */
async function becomesReady(child: ChildProcess, pgdata: string, deadline: number): Promise<boolean> {
  while (isRunning(child)) {
    const file = await readPidFile(pgdata);
    if (file?.pid === child.pid && file?.status === 'ready') return true;
    if (Date.now() > deadline) {
      child.kill('SIGKILL');
      return false;
    }
    await delay(POLL_MS);
  }
  return false;
}

function running(
  { child, pid, port }: Server,
  cluster: Cluster,
  cleanUp: () => Promise<void>,
  logger: EmbeddedPostgresOptions['logger'],
): EmbeddedPostgres {
  let stopped: Promise<void> | undefined;
  // The last chance when this process ends without stop(): the signal is sent before it is gone.
  const endWithProcess = (): void => {
    child.kill('SIGINT');
  };
  process.once('exit', endWithProcess);
  child.once('exit', (code, signal) => {
    process.off('exit', endWithProcess);
    if (stopped === undefined) logger.warn({ pid, code, signal }, 'the embedded PostgreSQL ended');
  });

  return {
    superuserUrl: `postgres://${SUPERUSER}:${cluster.password}@${HOST}:${port}/postgres`,
    host: HOST,
    port,
    pid,
    stop: () => {
      stopped ??= endServer(pid, () => isRunning(child)).then(cleanUp);
      return stopped;
    },
    kill: () => {
      child.kill('SIGKILL');
    },
  };
}

function isRunning(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
}

async function freePort(): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const probe = createServer().once('error', reject);
  probe.listen(0, HOST, () => {
    const address = probe.address();
    probe.close(() => {
      if (typeof address === 'object' && address !== null) resolve(address.port);
      else reject(new Error('no free port'));
    });
  });
  return promise;
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
}
