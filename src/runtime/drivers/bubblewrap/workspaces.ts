import { mkdir, rmdir, statfs } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

import { IsolationUnavailable } from '../../errors.ts';
import { type RunTool, runTool } from './commands.ts';
import type { Slot } from './place.ts';
import type { Tools } from './tools.ts';

/** Bytes of disk per inode: enough for many small files, too few to fill the kernel's memory with empty ones. */
const BYTES_PER_INODE = 8192;
const LEAST_INODES = 1024;
/** ms before each further try of an umount that is refused because something still looks into it. */
const UMOUNT_WAITS_MS = [5, 20, 50, 100, 250, 500];

export interface Workspace {
  readonly dir: string;
  isFull(): Promise<boolean>;
  remove(): Promise<void>;
}

/** A tmpfs of exactly that size: ENOSPC ends what fills it, in bytes or in inodes, and an umount all that was in it. */
export async function mountWorkspace(
  { tools, run }: { readonly tools: Tools; readonly run: RunTool },
  dir: string,
  bytes: number,
  slot: Slot,
): Promise<Workspace> {
  await mkdir(dir, { mode: 0o700 });
  const inodes = Math.max(LEAST_INODES, Math.ceil(bytes / BYTES_PER_INODE));
  const options = `nosuid,nodev,mode=0700,uid=${slot.uid},gid=${slot.gid},size=${bytes},nr_inodes=${inodes}`;
  try {
    await run(tools.mount, ['-n', '-t', 'tmpfs', '-o', options, 'tmpfs', dir]);
  } catch (error) {
    await rmdir(dir);
    throw new IsolationUnavailable(
      {
        check: 'workspaces',
        observed: 'a workspace cannot be mounted',
        fix: 'Run the service with CAP_SYS_ADMIN, or as an ordinary user with CASTELLAN_RUNTIME_DEGRADED_LIMITS=true',
      },
      error,
    );
  }
  return {
    dir,
    isFull: async () => {
      const { bavail, ffree } = await statfs(dir);
      return bavail === 0 || ffree === 0;
    },
    remove: async () => {
      await unmount(tools, dir, run);
      await rmdir(dir);
    },
  };
}

/** Where nothing can be mounted: a directory like any other, as large as its filesystem lets it be. */
export async function plainWorkspace(tools: Tools, dir: string): Promise<Workspace> {
  await mkdir(dir, { mode: 0o700 });
  return { dir, isFull: async () => (await statfs(dir)).bavail === 0, remove: () => removeTree(tools, dir) };
}

/** Detached from the tree at last when something does not let go of it: it goes with that process then. */
export async function unmount(tools: Tools, dir: string, run: RunTool = runTool): Promise<void> {
  for (const wait of UMOUNT_WAITS_MS) {
    try {
      return await run(tools.umount, ['-n', '-c', dir]);
    } catch (error) {
      // Another service that sweeps was faster.
      if (says(error, /not mounted/)) return;
      if (!says(error, /target is busy/)) throw error;
      await delay(wait);
    }
  }
  await run(tools.umount, ['-n', '-c', '-l', dir]);
}

/**
 * Removes a tree that somebody hostile has built, however deep: coreutils goes down with openat and never over a link or into
 * another filesystem. Directories without permissions for their owner are opened first.
 */
export async function removeTree(tools: Tools, dir: string): Promise<void> {
  try {
    await runTool(tools.rm, ['-rf', '--one-file-system', '--', dir]);
  } catch {
    await runTool(tools.chmod, ['-R', '--', 'u+rwX', dir]);
    await runTool(tools.rm, ['-rf', '--one-file-system', '--', dir]);
  }
}

function says(error: unknown, what: RegExp): boolean {
  return error instanceof Error && what.test(error.message);
}
