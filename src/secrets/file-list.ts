import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { readGitTree } from './git.ts';

export interface Listing {
  /** The top of the git tree, or the directory itself. */
  readonly top: string;
  readonly files: AsyncIterable<string>;
  /** Why git was not asked although the directory looks like one of its trees. */
  readonly notice?: string;
}

/**
 * The files below a directory, relative to it: in a git tree what git would commit, tracked or not yet; elsewhere, and in a
 * directory that git ignores as a whole but was asked for by name, all. Links are not followed: what they point to inside is
 * listed by itself, and outside is not ours to look at.
 */
export async function listFiles(
  directory: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Listing> {
  const tree = await readGitTree(directory, env);
  if (tree === undefined) return { top: directory, files: walk(directory) };
  if ('why' in tree) return { top: directory, files: walk(directory), notice: tree.why };
  const files = tree.files === undefined ? walk(directory) : listed(directory, tree.files, env);
  return { top: tree.top, files };
}

/** A submodule, or a repository inside this one, is listed as a directory: it has a list of its own. */
async function* listed(
  directory: string,
  names: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): AsyncGenerator<string> {
  for (const name of names) {
    const stat = await lstat(join(directory, name)).catch(ignoreMissing);
    if (stat?.isFile() === true) yield name;
    else if (stat?.isDirectory() === true) {
      const { files } = await listFiles(join(directory, name), env);
      for await (const inner of files) yield join(name, inner);
    }
  }
}

async function* walk(directory: string, below = ''): AsyncGenerator<string> {
  const entries = await readdir(join(directory, below), { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    // A name that is not UTF-8 comes back with U+FFFD in it and is not found again: the read fails, and says so.
    const path = join(below, entry.name);
    if (entry.isFile()) yield path;
    else if (entry.isDirectory() && entry.name !== '.git') yield* walk(directory, path);
  }
}

/** Deleted but still in the index: there is nothing to look at. */
function ignoreMissing(error: unknown): undefined {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
  throw error;
}
