import { readFile } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';

import { matchesGlob } from './glob.ts';

export const ALLOW_FILE = '.castellan-secrets-allow';
const ENTRY = /^(\S{1,1024})[ \t]{1,64}([0-9a-f]{8})[ \t]{1,64}(\S.*)$/;

/** A line of the list that is wrong: it cannot be read as an entry, or nothing is left that it allows. */
export interface AllowProblem {
  readonly line: number;
  readonly kind: 'allow-entry-malformed' | 'allow-entry-unused';
}

export interface AllowList {
  /** The file, as it is to be named. */
  readonly file: string;
  /** `path` is absolute. */
  allows(path: string, fingerprint: string): boolean;
  problems(): AllowProblem[];
}

/**
 * The nearest list at or above `directory`, no further up than `top` (of the git tree). Unused entries are reported only if
 * the list's whole directory is scanned: a part of it has no use for the entries of the rest.
 */
export async function findAllowList(directory: string, top: string): Promise<AllowList | undefined> {
  for (let at = resolve(directory); ; at = dirname(at)) {
    const text = await readIfThere(join(at, ALLOW_FILE));
    if (text !== undefined) return parse(text, at, at === resolve(directory));
    if (at === top || at === dirname(at) || !`${at}${sep}`.startsWith(`${top}${sep}`)) return undefined;
  }
}

function parse(text: string, root: string, whole: boolean): AllowList {
  const entries: { line: number; glob: string; fingerprint: string; used: boolean }[] = [];
  const malformed: AllowProblem[] = [];
  for (const [index, raw] of text.split('\n').entries()) {
    const written = raw.trim();
    if (written === '' || written.startsWith('#')) continue;
    const [, glob, fingerprint] = ENTRY.exec(written) ?? [];
    if (glob === undefined || fingerprint === undefined) {
      malformed.push({ line: index + 1, kind: 'allow-entry-malformed' });
    } else entries.push({ line: index + 1, glob, fingerprint, used: false });
  }
  return {
    file: join(root, ALLOW_FILE),
    allows(path, fingerprint) {
      const name = relative(root, path).split(sep).join('/');
      const fitting = entries.filter((entry) => entry.fingerprint === fingerprint && matchesGlob(name, entry.glob));
      for (const entry of fitting) entry.used = true;
      return fitting.length > 0;
    },
    problems() {
      const unused = entries.filter(({ used }) => whole && !used);
      return [...malformed, ...unused.map(({ line }): AllowProblem => ({ line, kind: 'allow-entry-unused' }))];
    },
  };
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
