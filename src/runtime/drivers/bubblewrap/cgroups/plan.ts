import { basename, dirname, join } from 'node:path';

import { parseOwner, SERVICE_SUFFIX } from '../owner.ts';
import { type Mount, type OwnCgroup, parseMountinfo, parseSelfCgroup } from './proc.ts';

/** What limits need. */
export const CONTROLLERS = ['memory', 'pids', 'cpu'] as const;
export type Controller = (typeof CONTROLLERS)[number];

/** Where cgroups of ours could be made, nearest first, as the kernel's tables tell it. */
export interface CgroupPlan {
  /** Of v2: the service's own and those above it, up to what is mounted; empty without v2. */
  readonly unified: readonly string[];
  /** Of v1: by controller, the service's own. */
  readonly v1: Readonly<Partial<Record<Controller | 'cpuacct', string>>>;
}

/**
 * Reads /proc/self/mountinfo and /proc/self/cgroup. With `setting`, a path below every mount of cgroups, that one and no other.
 */
export function planCgroups(mountinfo: string, selfCgroup: string, setting: string | undefined): CgroupPlan {
  const mounts = parseMountinfo(mountinfo);
  const own = parseSelfCgroup(selfCgroup);
  const unified = own.find(({ version }) => version === 2);
  const v1: Partial<Record<Controller | 'cpuacct', string>> = {};
  for (const controller of [...CONTROLLERS, 'cpuacct'] as const) {
    const place = own.find(({ controllers }) => controllers.includes(controller));
    const mount = mounts.find(({ type, superOptions }) => type === 'cgroup' && superOptions.includes(controller));
    const dir = place && mount && directoryOf(mount, place, setting);
    if (dir !== undefined) v1[controller] = dir;
  }
  return { unified: unified === undefined ? [] : unifiedDirs(mounts, unified, setting), v1 };
}

function unifiedDirs(mounts: readonly Mount[], place: OwnCgroup, setting: string | undefined): string[] {
  const mount = mounts.find(({ type }) => type === 'cgroup2');
  const dir = mount && directoryOf(mount, place, setting);
  if (mount === undefined || dir === undefined) return [];
  if (setting !== undefined) return [dir];
  // Where another isolation of this process has moved it: one level up it was before.
  const own = basename(dir).endsWith(SERVICE_SUFFIX) && parseOwner(basename(dir)) !== undefined ? dirname(dir) : dir;
  const dirs = [own];
  for (let at = own; at !== mount.point && at.length > mount.point.length; dirs.push(at)) at = join(at, '..');
  return dirs;
}

/** In a container the mount shows only a part of the hierarchy: paths count from that part. Undefined: it is not in it. */
function directoryOf(mount: Mount, { path }: OwnCgroup, setting: string | undefined): string | undefined {
  if (setting !== undefined) return join(mount.point, setting);
  // What is above the root of our namespace of cgroups is shown so.
  if (path.split('/').includes('..')) return undefined;
  if (mount.root === '/') return join(mount.point, path).replace(/(.)\/$/, '$1');
  if (path === mount.root || path === '/') return mount.point;
  return path.startsWith(`${mount.root}/`) ? join(mount.point, path.slice(mount.root.length)) : undefined;
}
