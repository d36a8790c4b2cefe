import { chmod, lstat, mkdir, realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { IsolationUnavailable } from '../../errors.ts';
import { codeOf } from './cgroups/files.ts';

/** Passed through by whoever knows the name of what is below; listed and written by its owner alone. */
const PASSABLE = 0o711;
const PRIVATE = 0o700;
const STICKY = 0o1000;

/** Sockets are made in it, whose path has 107 bytes at most, and names of ours take up to 52 of them (unix(7)). */
const MAX_PATH_BYTES = 107 - 52;

export interface StateDir {
  readonly path: string;
  /** Claims of user ids, shared by all services of this machine with this directory. */
  readonly slots: string;
}

/**
 * The directory for what isolated processes need. Isolated processes with ids of their own must be able to pass through it to
 * their workspace, whose name nobody can guess; those of an ordinary user are that user.
 */
export async function openStateDir(setting: string | undefined, uid: number): Promise<StateDir> {
  const asked = setting ?? join(tmpdir(), `castellan-runtime-${uid}`);
  const mode = uid === 0 ? PASSABLE : PRIVATE;
  try {
    await mkdir(asked, { recursive: setting !== undefined, mode }).catch((error: unknown) => {
      if (codeOf(error) !== 'EEXIST') throw error;
    });
    const path = setting === undefined ? asked : await realpath(asked);
    const found = await lstat(path);
    if (Buffer.byteLength(path) > MAX_PATH_BYTES) throw refused(asked, `is longer than ${MAX_PATH_BYTES} bytes`);
    if (!found.isDirectory()) throw refused(asked, 'is no directory');
    // Somebody else was first in a directory that all may write: what they can write is no place for this.
    if (found.uid !== uid) throw refused(asked, `belongs to user ${found.uid}`);
    if ((found.mode & 0o777) !== mode) await chmod(path, mode);
    const slots = join(path, 'slots');
    await mkdir(slots, { recursive: true, mode: PRIVATE });
    await requireOwnAbove(path, uid);
    if (uid === 0) await requirePassable(path);
    return { path, slots };
  } catch (error) {
    const code = codeOf(error);
    if (error instanceof IsolationUnavailable || code === undefined) throw error;
    throw refused(asked, `cannot be used: ${code}`, error);
  }
}

/** A new directory of just this mode, whatever the service's umask is. */
export async function makeDir(path: string, mode: number): Promise<void> {
  await mkdir(path, { mode: PRIVATE });
  await chmod(path, mode);
}

/** Who owns a directory above, or may write it without being held to what is his, could put another one in its place. */
async function requireOwnAbove(path: string, uid: number): Promise<void> {
  for (let at = dirname(path); ; at = dirname(at)) {
    const { uid: owner, gid, mode } = await lstat(at);
    if (owner !== uid && owner !== 0) throw refused(path, `is below ${at}, which belongs to user ${owner}`);
    const writers = gid === 0 || gid === process.getgid?.() ? 0o002 : 0o022;
    if ((mode & writers) !== 0 && (mode & STICKY) === 0) throw refused(path, `is below ${at}, which others may write`);
    if (at === '/') return;
  }
}

async function requirePassable(path: string): Promise<void> {
  for (let at = path; at !== '/'; at = dirname(at)) {
    if (((await lstat(at)).mode & 0o001) === 0)
      throw refused(path, `cannot be reached by other users: ${at} does not let them through`);
  }
}

function refused(path: string, observed: string, cause?: unknown): IsolationUnavailable {
  return new IsolationUnavailable(
    {
      check: 'state-dir',
      observed: `${path} ${observed}`,
      fix: "Name a directory of the service's user with CASTELLAN_RUNTIME_STATE_DIR, in which nobody else can write",
    },
    cause,
  );
}
