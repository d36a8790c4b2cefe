import { realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { type AllowList, findAllowList } from './allow-list.ts';
import { listFiles } from './file-list.ts';
import { scanFile } from './scan-file.ts';

/** Something to say of a file, in its order; the secret itself is not in it. */
export interface SecretFinding {
  readonly file: string;
  readonly line: number;
  readonly kind: string;
  readonly fingerprint?: string;
}

export interface SecretScan {
  readonly files: number;
  readonly findings: SecretFinding[];
  readonly allowed: number;
  /** Large binary files, of which only the beginning was looked at, and directories of installed packages. */
  readonly skipped: { readonly file: string; readonly reason: string }[];
  /** Files and directories that could not be read: the scan is not whole. */
  readonly unreadable: { readonly file: string; readonly reason: string }[];
  readonly notices: string[];
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Looks through files and directories; names are reported as the targets were written. */
export async function scanForSecrets(targets: readonly string[], env: Environment): Promise<SecretScan> {
  const scan = { files: 0, findings: [], allowed: 0, skipped: [], unreadable: [], notices: [] };
  for (const target of targets) await scanTarget(target, env, scan);
  return scan;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

async function scanTarget(target: string, env: Environment, scan: Mutable<SecretScan>): Promise<void> {
  // A link that was named is followed, as it was asked for; those inside are not.
  const real = await realpath(target);
  const isDirectory = (await stat(real)).isDirectory();
  const directory = isDirectory ? real : dirname(real);
  const listing = await listFiles(directory, env);
  if (listing.notice !== undefined) scan.notices.push(`${target}: all files are looked at, ${listing.notice}`);
  const allowList = await findAllowList(directory, listing.top);
  if (!isDirectory) await scanOne({ path: real, shown: target }, allowList, scan);
  else {
    for await (const name of listing.files) {
      await scanOne({ path: join(real, name), shown: join(target, name) }, allowList, scan);
    }
    for (const name of listing.leftOut) scan.skipped.push({ file: join(target, name), reason: 'installed packages' });
  }
  if (allowList === undefined) return;
  const shown = dirname(allowList.file) === real ? join(target, basename(allowList.file)) : allowList.file;
  for (const { line, kind } of allowList.problems()) {
    if (isDirectory || kind !== 'allow-entry-unused') scan.findings.push({ file: shown, line, kind });
  }
}

async function scanOne(
  { path, shown }: { readonly path: string; readonly shown: string },
  allowList: AllowList | undefined,
  scan: Mutable<SecretScan>,
): Promise<void> {
  try {
    const result = await scanFile(path);
    if (result === undefined) return;
    scan.files += 1;
    if (result.skipped !== undefined) scan.skipped.push({ file: shown, reason: result.skipped });
    for (const finding of result.findings) {
      if (allowList?.allows(path, finding.fingerprint) === true) scan.allowed += 1;
      else scan.findings.push({ file: shown, ...finding });
    }
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
    scan.unreadable.push({ file: shown, reason: String(error.code) });
  }
}
