import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { readGitTree } from './git.ts';

export interface Listing {
  /** The top of the git tree, or the directory itself. */
  readonly top: string;
  readonly files: AsyncIterable<string>;
  /** Directories left out of a walk, relative to the listed one; whole when `files` is through. */
  readonly leftOut: string[];
  /** Why git was not asked although the directory looks like one of its trees. */
  readonly notice?: string;
}

/**
 * The files below a directory, relative to it: in a git tree what git would commit, tracked or not yet; elsewhere, and in a
 * directory that git ignores as a whole but was asked for by name, all but installed packages. Links are not followed: what they point to inside is
 * listed by itself, and outside is not ours to look at. A name that is not UTF-8 comes with U+FFFD in it and is not found
 * again: it is listed all the same, so that the failing read is reported.
 */
export async function listFiles(
  directory: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Listing> {
  const tree = await readGitTree(directory, env);
  const leftOut: string[] = [];
  if (tree === undefined) return { top: directory, files: walk(directory, leftOut), leftOut };
  if ('why' in tree) return { top: directory, files: walk(directory, leftOut), leftOut, notice: tree.why };
  const files =
    tree.files === undefined
      ? walk(directory, leftOut)
      : listed(directory, { ...tree, files: tree.files }, env, leftOut);
  return { top: tree.top, files, leftOut };
}

/**
 * A submodule, or a repository inside this one, is listed as a directory: it has a list of its own. One that is not checked
 * out has none, and git would answer for the tree around it.
 */
async function* listed(
  directory: string,
  tree: { readonly top: string; readonly files: readonly string[] },
  env: Readonly<Record<string, string | undefined>>,
  leftOut: string[],
): AsyncGenerator<string> {
  for (const name of tree.files) {
    const stat = await lstat(join(directory, name)).catch(ignoreMissing);
    if (stat?.isFile() === true || name.includes('\ufffd')) yield name;
    else if (stat?.isDirectory() === true) {
      const inside = await listFiles(join(directory, name), env);
      const files = inside.top === tree.top ? walk(join(directory, name), inside.leftOut) : inside.files;
      for await (const inner of files) yield join(name, inner);
      leftOut.push(...inside.leftOut.map((inner) => join(name, inner)));
    }
  }
}

async function* walk(directory: string, leftOut: string[], below = ''): AsyncGenerator<string> {
  const entries = await readdir(join(directory, below), { withFileTypes: true }).catch((error: unknown) => {
    if (below === '') throw error;
    return undefined;
  });
  // Its read will fail as well, and be reported with the rest of the scan.
  if (entries === undefined) return yield below;
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(below, entry.name);
    if (entry.isFile()) yield path;
    else if (!entry.isDirectory() || entry.name === '.git') continue;
    else if (entry.name === 'node_modules') leftOut.push(path);
    else yield* walk(directory, leftOut, path);
  }
}

/** Deleted but still in the index: there is nothing to look at. */
function ignoreMissing(error: unknown): undefined {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
  throw error;
}
