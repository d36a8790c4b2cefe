import { execFile } from 'node:child_process';
import { access, constants, readdir, realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import type { Account } from './account.ts';
import { run } from './command.ts';
import { EmbeddedPostgresError } from './errors.ts';
import { packageRoot, usableBinDir } from './packaged-binaries.ts';

/** A directory with initdb and postgres, and their major version. */
export interface Binaries {
  readonly binDir: string;
  readonly major: number;
}

const OLDEST_MAJOR = 15;
const NEWEST_MAJOR = 18;

/** Where distributions keep one directory per version. */
const VERSION_PARENTS = ['/usr/lib/postgresql', '/usr/local', '/usr', '/opt/homebrew/opt', '/usr/local/opt'];
const VERSION_NAME = /^(?:(?:postgresql@|pgsql-?)?\d+|pgsql)$/;

/** The platform's package if it is installed, else the newest supported PostgreSQL on this machine. */
export async function findBinaries(account: Account | undefined): Promise<Binaries> {
  const root = packageRoot();
  // Installed but not runnable: a libc it was not built for.
  const packaged = root === undefined ? undefined : await inspect(await usableBinDir(root, account));
  if (packaged !== undefined) return packaged;
  const newest = (await systemBinaries()).at(0);
  if (newest !== undefined) return newest;
  throw new EmbeddedPostgresError(
    'NO_BINARIES',
    `no PostgreSQL for ${process.platform}-${process.arch}: install PostgreSQL ${OLDEST_MAJOR}-${NEWEST_MAJOR}, or set DATABASE_URL`,
  );
}

/** Every supported PostgreSQL installed on this machine, newest first. */
export async function systemBinaries(): Promise<Binaries[]> {
  const found = await Promise.all((await candidates()).map(inspect));
  const byMajor = new Map<number, Binaries>();
  for (const binaries of found) if (binaries !== undefined) byMajor.set(binaries.major, binaries);
  return [...byMajor.values()]
    .filter(({ major }) => major >= OLDEST_MAJOR && major <= NEWEST_MAJOR)
    .sort((a, b) => b.major - a.major);
}

async function candidates(): Promise<string[]> {
  const versioned = await Promise.all(
    VERSION_PARENTS.map(async (parent) =>
      (await readdir(parent).catch(() => []))
        .filter((name) => VERSION_NAME.test(name))
        .map((name) => join(parent, name, 'bin')),
    ),
  );
  const onPath = await directoryOnPath();
  return onPath === undefined ? versioned.flat() : [...versioned.flat(), onPath];
}

/** The shell looks along PATH, so that this process's environment stays unread. */
function directoryOnPath(): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  execFile('/bin/sh', ['-c', 'command -v postgres'], (error, stdout) => {
    const path = stdout.trim();
    resolve(error === null && path.startsWith('/') ? join(path, '..') : undefined);
  });
  return promise;
}

async function inspect(binDir: string): Promise<Binaries | undefined> {
  try {
    // A link into another directory would make the server look there for its parts, by changing directory.
    const real = dirname(await realpath(join(binDir, 'initdb')));
    await access(join(real, 'initdb'), constants.X_OK);
    return { binDir: real, major: await majorVersion(real) };
  } catch {
    return undefined;
  }
}

/** `postgres (PostgreSQL) 18.4` → 18. */
async function majorVersion(binDir: string): Promise<number> {
  const printed = await run(join(binDir, 'postgres'), ['--version']);
  const major = Number(/\(PostgreSQL\) (\d+)/.exec(printed)?.[1]);
  if (!Number.isInteger(major)) throw new EmbeddedPostgresError('NO_BINARIES', `${binDir} holds no PostgreSQL`);
  return major;
}
