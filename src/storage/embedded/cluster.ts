import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type Account, canEnter } from './account.ts';
import type { Binaries } from './binaries.ts';
import { run } from './command.ts';
import { EmbeddedPostgresError } from './errors.ts';

export const SUPERUSER = 'postgres';

const PASSWORD_BYTES = 32;
const STAGING = 'pgdata.init-';

export interface Cluster {
  readonly pgdata: string;
  readonly password: string;
}

/**
 * The database cluster under `dataDir`, created when there is none: C locale, UTF-8, scram, a random password kept in a file
 * that only this user reads. A half-made one of an interrupted run is thrown away. Another major version is refused.
 */
export async function ensureCluster(
  dataDir: string,
  binaries: Binaries,
  account: Account | undefined,
  durable: boolean,
): Promise<Cluster> {
  const pgdata = join(dataDir, 'pgdata');
  const password = await readOrCreatePassword(join(dataDir, 'superuser-password'));
  const version = await readFile(join(pgdata, 'PG_VERSION'), 'utf8').catch(() => undefined);
  if (version === undefined) await createCluster(dataDir, pgdata, password, binaries, account, durable);
  else if (Number(version) !== binaries.major) {
    throw new EmbeddedPostgresError(
      'DATA_DIR_UNUSABLE',
      `${pgdata} was made by PostgreSQL ${version.trim()} and this is ${binaries.major}: upgrade or remove it`,
    );
  }
  return { pgdata, password };
}

/**
 * The data directory as the server is to name it. Where its account may not walk to it (a checkout under /root), it is given
 * as the working directory, which Linux lets a process keep and reopen whatever lies above.
 */
export async function pathForServer(pgdata: string, account: Account | undefined, major: number): Promise<string> {
  if (await canEnter(pgdata, account)) return pgdata;
  // PostgreSQL 15 leaves its working directory while it looks for its own program.
  if (process.platform === 'linux' && major >= 16) return '/proc/self/cwd';
  throw new EmbeddedPostgresError('DATA_DIR_UNUSABLE', `${pgdata} cannot be entered by the account of the server`);
}

async function readOrCreatePassword(file: string): Promise<string> {
  const kept = await readFile(file, 'utf8').catch(() => undefined);
  if (kept !== undefined && kept.length > 0) return kept;
  const password = randomBytes(PASSWORD_BYTES).toString('base64url');
  // Written beside and moved, so that a cut write never leaves half a password.
  await writeFile(`${file}.new`, password, { mode: 0o600, flush: true });
  await rename(`${file}.new`, file);
  return password;
}

async function createCluster(
  dataDir: string,
  pgdata: string,
  password: string,
  binaries: Binaries,
  account: Account | undefined,
  durable: boolean,
): Promise<void> {
  for (const name of await readdir(dataDir)) {
    if (name.startsWith(STAGING)) await rm(join(dataDir, name), { recursive: true });
  }
  const staging = await mkdtemp(join(dataDir, STAGING));
  await handOver(staging, account);
  await initialise(staging, password, binaries, account, durable);
  await rename(staging, pgdata).catch((cause: unknown) => {
    throw new EmbeddedPostgresError('DATA_DIR_UNUSABLE', `${pgdata} is there but is no data directory`, cause);
  });
}

async function initialise(
  staging: string,
  password: string,
  binaries: Binaries,
  account: Account | undefined,
  durable: boolean,
): Promise<void> {
  const secrets = await mkdtemp(join(tmpdir(), 'castellan-initdb-'));
  const passwordFile = join(secrets, 'password');
  try {
    await writeFile(passwordFile, password, { mode: 0o600 });
    await handOver(passwordFile, account);
    await handOver(secrets, account);
    const args = [
      `--pgdata=${await pathForServer(staging, account, binaries.major)}`,
      `--username=${SUPERUSER}`,
      `--pwfile=${passwordFile}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      '--locale=C',
      '--no-instructions',
      ...(durable ? [] : ['--no-sync']),
    ];
    await run(join(binaries.binDir, 'initdb'), args, { account, cwd: staging });
  } catch (cause) {
    throw new EmbeddedPostgresError('START_FAILED', 'initdb failed', cause);
  } finally {
    await rm(secrets, { recursive: true });
  }
}

async function handOver(path: string, account: Account | undefined): Promise<void> {
  if (account !== undefined) await chown(path, account.uid, account.gid);
}

/** Makes the directory that holds the cluster, its password and its log; private, but passable for the server's account. */
export async function ensureDataDir(dataDir: string, account: Account | undefined): Promise<string> {
  const made = await mkdir(dataDir, { recursive: true, mode: 0o700 });
  if (made !== undefined && account !== undefined) await chmod(dataDir, 0o711);
  return dataDir;
}

/** Such a directory in the system's place for temporary ones. */
export async function temporaryDataDir(account: Account | undefined): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), 'castellan-postgres-data-'));
  if (account !== undefined) await chmod(dataDir, 0o711);
  return dataDir;
}
