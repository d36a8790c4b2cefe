import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { makeDevelopmentCertificates } from '../../../src/certs/development.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../../src/storage/embedded/server.ts';
import { quiet, testServerUrl } from '../../support/postgres.ts';

/** A PostgreSQL of the harness's own, which a run may stop, kill and start again. */
export interface OwnServer {
  readonly dataDir: string;
  url(): string;
  stop(): Promise<void>;
  /** SIGKILL of the postmaster, as a crash would be. */
  crash(): Promise<void>;
  /** On the port it had. */
  start(): Promise<void>;
}

/** What the runs of one process share, because it is slow to make: certificates and servers. */
export interface Harness {
  readonly certsDir: string;
  /** A server that no run may harm. */
  serverUrl(): Promise<string>;
  ownServer(): Promise<OwnServer>;
  close(): Promise<void>;
}

export async function openHarness(options: { certsDir?: string | undefined } = {}): Promise<Harness> {
  const home = await mkdtemp(join(tmpdir(), 'castellan-faults-'));
  const certsDir = options.certsDir ?? join(home, 'certs');
  if (options.certsDir === undefined) await makeDevelopmentCertificates(certsDir, { trustDomain: 'castellan.dev' });
  let own: Promise<OwnServer> | undefined;
  return {
    certsDir,
    serverUrl: testServerUrl,
    ownServer: () => {
      own ??= startOwnServer(join(home, 'postgres'));
      return own;
    },
    close: async () => {
      await (await own)?.stop();
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
  };
}
