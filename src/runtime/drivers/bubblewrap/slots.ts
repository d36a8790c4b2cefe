import { mkdir, readdir, readlink, symlink, unlink } from 'node:fs/promises';
import { join } from 'node:path';

import { IsolationUnavailable } from '../../errors.ts';
import { codeOf } from './cgroups/files.ts';
import { isGone, parseOwner } from './owner.ts';
import type { Slot } from './place.ts';

/**
 * Hands out user and group ids, each to one place at a time. A claim is a link in a directory that all services of this
 * machine with one state directory share: it is made in one step, and what it points to says whose it is.
 */
export interface Slots {
  take(): Promise<Slot>;
  give(slot: Slot): Promise<void>;
}

/** Of `total` ids this service has its share by itself; others that use the same ids push it further up. */
export function createSlots(options: {
  readonly dir: string;
  readonly ownerName: string;
  readonly uidBase: number;
}): Slots {
  const { dir, ownerName, uidBase } = options;
  const used = new Set<number>();
  return {
    take: async () => {
      for (let uid = uidBase; uid < uidBase + MOST; uid += 1) {
        if (used.has(uid)) continue;
        used.add(uid);
        if (await claim(join(dir, `${uid}`), ownerName)) return { uid, gid: uid };
        used.delete(uid);
      }
      throw new IsolationUnavailable({
        check: 'slots',
        observed: 'every user id for isolated processes is in use',
        fix: 'End what runs, or set CASTELLAN_RUNTIME_UID_BASE to a range of its own for this service',
      });
    },
    give: async ({ uid }) => {
      await unlink(join(dir, `${uid}`));
      used.delete(uid);
    },
  };
}

/**
 * Whether the ids are of this user namespace, by its /proc/self/uid_map: root of a container without root has few, and
 * chown and setuid to any other fail.
 */
export function areMapped(uidMap: string, first: number, count: number): boolean {
  return uidMap.split('\n').some((line) => {
    const [inside = Number.NaN, , length = 0] = line.trim().split(/\s+/).map(Number);
    return inside <= first && first + count <= inside + length;
  });
}

/** More than one service may ever have. */
const MOST = 100_000;

async function claim(path: string, ownerName: string): Promise<boolean> {
  try {
    await symlink(ownerName, path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Claims of services that live no more. */
export async function sweepSlots(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  for (const name of await readdir(dir)) {
    const path = join(dir, name);
    const owner = parseOwner(await readlink(path).catch(() => ''));
    if (owner !== undefined && isGone(owner)) await unlink(path);
  }
}
