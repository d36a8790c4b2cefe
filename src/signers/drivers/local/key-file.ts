import { constants, type Stats } from 'node:fs';
import { type FileHandle, lstat, open, realpath } from 'node:fs/promises';
import { dirname, sep } from 'node:path';
import { CodedError } from '../../../errors.ts';

/** No private key is larger; a device or a log given by mistake is not read into memory. */
const MAX_BYTES = 65_536;
/** Any right of the group or of others. */
const FOREIGN_RIGHTS = 0o077;
const GROUP_READ = 0o040;
// A link that appears where none was a moment ago is refused, and a pipe must not hang the start.
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** A key file cannot be read, or somebody else could read or replace it. Names the path, never the content. */
export class KeyFileError extends CodedError {
  readonly code: 'KEY_FILE_UNSAFE' | 'KEY_FILE_UNREADABLE';

  constructor(code: KeyFileError['code'], message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/**
 * The bytes of a key file that is regular, owned by this process's user or root, and closed to everyone else. A link to
 * such a file is followed within its own directory only, which is how Kubernetes mounts a secret.
 */
export async function readKeyFile(path: string): Promise<Buffer> {
  await using file = await openFile(path, await targetOf(path));
  // The open file is looked at, not the path: a path could be swapped in between.
  const problem = unsafe(await file.stat());
  if (problem !== undefined) throw new KeyFileError('KEY_FILE_UNSAFE', `${path}: ${problem}`);
  return file.readFile();
}

/** Where the path leads once its links are followed: `audit.pem` → `..data/audit.pem` → `..2026_11_21/audit.pem`. */
async function targetOf(path: string): Promise<string> {
  try {
    const link = await lstat(path);
    if (!link.isSymbolicLink()) return path;
    // Whoever owns a link chooses the key.
    if (!isTrusted(link.uid)) throw new KeyFileError('KEY_FILE_UNSAFE', `${path}: a link of another user`);
    const [home, target] = await Promise.all([realpath(dirname(path)), realpath(path)]);
    if (target.startsWith(home === sep ? sep : `${home}${sep}`)) return target;
  } catch (cause) {
    throw cause instanceof KeyFileError ? cause : asKeyFileError(path, cause);
  }
  throw new KeyFileError('KEY_FILE_UNSAFE', `${path}: a link out of its directory`);
}

async function openFile(path: string, target: string): Promise<FileHandle> {
  try {
    return await open(target, FLAGS);
  } catch (cause) {
    throw asKeyFileError(path, cause);
  }
}

function asKeyFileError(path: string, cause: unknown): KeyFileError {
  if (cause instanceof Error && 'code' in cause && (cause.code === 'ELOOP' || cause.code === 'ENXIO')) {
    return new KeyFileError('KEY_FILE_UNSAFE', `${path}: not a regular file`, cause);
  }
  return new KeyFileError('KEY_FILE_UNREADABLE', `${path}: cannot be opened`, cause);
}

function unsafe(stats: Stats): string | undefined {
  if (!stats.isFile()) return 'not a regular file';
  if (stats.size > MAX_BYTES) return `larger than ${MAX_BYTES} bytes`;
  if ((stats.mode & FOREIGN_RIGHTS & ~grantedByRoot(stats)) !== 0) return 'open to group or others (chmod 600)';
  if (!isTrusted(stats.uid)) return 'owned by another user';
  return undefined;
}

/**
 * Reading by the group, where root gave the file to a group of this process, which then has no other way to read it:
 * Kubernetes makes 0440 root:fsGroup of a secret. A file of our own has no reason to be open to a group.
 */
function grantedByRoot({ uid, gid }: Stats): number {
  const isOurs = uid === process.getuid?.();
  const groups = [process.getegid?.(), ...(process.getgroups?.() ?? [])];
  return uid === 0 && !isOurs && groups.includes(gid) ? GROUP_READ : 0;
}

function isTrusted(uid: number): boolean {
  return uid === 0 || uid === process.getuid?.();
}
