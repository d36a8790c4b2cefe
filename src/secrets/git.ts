import { execFile } from 'node:child_process';

/** Bytes of a listing of file names. */
const MAX_OUTPUT = 256 * 1024 * 1024;

export interface GitTree {
  readonly top: string;
  /** The files of the directory that git would commit, relative to it; undefined where git ignores the directory itself. */
  readonly files: readonly string[] | undefined;
}

/** What git says of a directory; undefined outside of its trees and where there is no git, with the reason if unexpected. */
export async function readGitTree(
  directory: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<GitTree | { readonly why: string } | undefined> {
  const top = await git(directory, env, ['rev-parse', '--show-toplevel']);
  if (top.code === 'ENOENT' || /not a git repository/.test(top.err)) return undefined;
  // Inside .git itself, or a damaged repository.
  if (top.code !== 0) return { why: top.err.trim().split('\n')[0] ?? `git ended with ${top.code}` };
  const ignored = await git(directory, env, ['check-ignore', '--quiet', '.']);
  if (ignored.code === 0) return { top: top.out.trimEnd(), files: undefined };
  const listed = await git(directory, env, ['ls-files', '-z', '--cached', '--others', '--exclude-standard']);
  if (listed.code !== 0) return { why: listed.err.trim().split('\n')[0] ?? `git ended with ${listed.code}` };
  return { top: top.out.trimEnd(), files: [...new Set(listed.out.split('\0'))].filter((name) => name !== '').sort() };
}

interface Ended {
  readonly code: number | string;
  readonly out: string;
  readonly err: string;
}

/** A build often runs as another user than the checkout's owner; git's fear is of programs in the tree's settings. */
const SETTINGS = ['-c', 'safe.directory=*', '-c', 'core.fsmonitor=false'];

/**
 * With nothing of the environment that could point git elsewhere (a hook sets GIT_DIR and GIT_INDEX_FILE), and without the
 * one setting by which a listing could run a program.
 */
function git(
  directory: string,
  env: Readonly<Record<string, string | undefined>>,
  args: readonly string[],
): Promise<Ended> {
  const { PATH, HOME, XDG_CONFIG_HOME } = env;
  const settings = { cwd: directory, env: { PATH, HOME, XDG_CONFIG_HOME, LC_ALL: 'C' }, maxBuffer: MAX_OUTPUT };
  return new Promise((resolve) => {
    execFile('git', [...SETTINGS, ...args], settings, (error, out, err) =>
      resolve({ code: error === null ? 0 : (error.code ?? 'killed'), out, err }),
    );
  });
}
