import { constants, type Stats } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { CodedError } from '../../../errors.ts';

/** No private key is larger; a device or a log given by mistake is not read into memory. */
const MAX_BYTES = 65_536;
/** Any right of the group or of others. */
const FOREIGN_RIGHTS = 0o077;
// Links are refused rather than followed, and a pipe must not hang the start.
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** A key file cannot be read, or somebody else could read or replace it. Names the path, never the content. */
export class KeyFileError extends CodedError {
  readonly code: 'KEY_FILE_UNSAFE' | 'KEY_FILE_UNREADABLE';

  constructor(code: KeyFileError['code'], message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/** The bytes of a key file that is regular, owned by this process's user or root, and closed to everyone else. */
export async function readKeyFile(path: string): Promise<Buffer> {
  await using file = await openFile(path);
  // The open file is looked at, not the path: a path could be swapped in between.
  const problem = unsafe(await file.stat());
  if (problem !== undefined) throw new KeyFileError('KEY_FILE_UNSAFE', `${path}: ${problem}`);
  return file.readFile();
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, FLAGS);
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && (cause.code === 'ELOOP' || cause.code === 'ENXIO')) {
      throw new KeyFileError('KEY_FILE_UNSAFE', `${path}: not a regular file`, cause);
    }
    throw new KeyFileError('KEY_FILE_UNREADABLE', `${path}: cannot be opened`, cause);
  }
}

function unsafe(stats: Stats): string | undefined {
  if (!stats.isFile()) return 'not a regular file';
  if (stats.size > MAX_BYTES) return `larger than ${MAX_BYTES} bytes`;
  if ((stats.mode & FOREIGN_RIGHTS) !== 0) return 'open to group or others (chmod 600)';
  if (stats.uid !== 0 && stats.uid !== process.getuid?.()) return 'owned by another user';
  return undefined;
}
