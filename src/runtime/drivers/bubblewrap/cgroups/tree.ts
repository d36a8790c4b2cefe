import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { IsolationUnavailable } from '../../../errors.ts';
import { SERVICE_SUFFIX } from '../owner.ts';
import { codeOf, procsOf, put, removeGroups, take } from './files.ts';
import { type Group, type GroupLimits, type GroupParents, makeGroup } from './group.ts';
import { type CgroupPlan, CONTROLLERS, type Controller, planCgroups } from './plan.ts';
import { words } from './proc.ts';
import { isOfService, type Moved, moveService } from './service.ts';

const FIX =
  'Run the service as root, or as a systemd unit with Delegate=yes, or name a cgroup that it may write with CASTELLAN_RUNTIME_CGROUP; or accept no limits with CASTELLAN_RUNTIME_DEGRADED_LIMITS=true';

/** The cgroups of this service, in which those of its places are made. */
export interface CgroupTree {
  /** What `close` removes. */
  readonly dirs: readonly string[];
  /** That of v2, if it is joined at all. */
  readonly unified: string | undefined;
  open(name: string, limits: GroupLimits): Promise<Group>;
  /** Removes what is empty by then, and puts the service back where it was. */
  close(): Promise<void>;
}

export async function readPlan(setting: string | undefined): Promise<CgroupPlan> {
  const [mountinfo, selfCgroup] = await Promise.all([
    readFile('/proc/self/mountinfo', 'utf8'),
    readFile('/proc/self/cgroup', 'utf8'),
  ]);
  return planCgroups(mountinfo, selfCgroup, setting);
}

/** Throws IsolationUnavailable when memory, processes or cpu time cannot be limited by what is there. */
export async function openTree(plan: CgroupPlan, ownerName: string): Promise<CgroupTree> {
  const made: string[] = [];
  let moved: Moved | undefined;
  const close = async () => {
    // With what is in it: of a group that could be made only in part, or not be removed, for want of a descriptor.
    for (const dir of made.toReversed()) await removeGroups(dir, (await take(dir, 'cgroup.type')) !== undefined);
    await moved?.back();
  };
  try {
    const parents = await build();
    const { unified } = parents;
    return { dirs: made, unified, open: (name, limits) => makeGroup(parents, name, limits), close };
  } catch (error) {
    await close();
    const code = codeOf(error);
    if (code === 'EACCES' || code === 'EROFS' || code === 'EPERM' || code === 'ENOENT' || code === 'EBUSY')
      throw new IsolationUnavailable(
        { check: 'cgroups', observed: `cgroups cannot be made: ${code}`, fix: FIX },
        error,
      );
    throw error;
  }

  async function build(): Promise<GroupParents> {
    const base = await chooseUnified(plan);
    const missing = CONTROLLERS.filter((one) => !base.controllers.includes(one) && plan.v1[one] === undefined);
    if (missing.length > 0)
      throw new IsolationUnavailable({
        check: 'cgroup-controllers',
        observed: `no controller for ${missing.join(', ')}`,
        fix: FIX,
      });
    const v1: Partial<Record<Controller | 'cpuacct', string>> = {};
    for (const controller of CONTROLLERS) {
      const dir = base.controllers.includes(controller) ? undefined : plan.v1[controller];
      if (dir !== undefined) v1[controller] = await child(dir);
    }
    if (base.dir === undefined) {
      if (plan.v1.cpuacct !== undefined) v1.cpuacct = await child(plan.v1.cpuacct);
      return { unified: undefined, unifiedControllers: [], v1 };
    }
    if (base.controllers.length > 0) {
      moved = await moveService(base.dir, `${ownerName}${SERVICE_SUFFIX}`, base.controllers);
    }
    const unified = await child(base.dir);
    if (base.controllers.length > 0)
      await put(unified, 'cgroup.subtree_control', base.controllers.map((one) => `+${one}`).join(' '));
    return { unified, unifiedControllers: base.controllers, v1 };
  }

  async function child(parent: string): Promise<string> {
    const dir = join(parent, ownerName);
    try {
      await mkdir(dir, { mode: 0o755 });
      made.push(dir);
    } catch (error) {
      // Hierarchies that are mounted together are one directory.
      if (codeOf(error) !== 'EEXIST' || !made.includes(dir)) throw error;
    }
    return dir;
  }
}

interface UnifiedBase {
  readonly dir: string | undefined;
  readonly controllers: readonly Controller[];
}

/** The nearest that can give the controllers: the service's own, or one above it that gives them to its children already. */
async function chooseUnified({ unified }: CgroupPlan): Promise<UnifiedBase> {
  const [own] = unified;
  const ofContainer = unified.length === 1;
  if (own === undefined) return { dir: undefined, controllers: [] };
  for (const dir of unified) {
    const offered = await controllersIn(dir, dir === own ? 'cgroup.controllers' : 'cgroup.subtree_control');
    if (offered.length < CONTROLLERS.length) continue;
    if (dir !== own || (await isMovable(dir, ofContainer))) return { dir, controllers: offered };
  }
  // What v1 has is taken from there; v2 then only ends and counts.
  const offered = await controllersIn(own, 'cgroup.controllers');
  return { dir: own, controllers: (await isMovable(own, ofContainer)) ? offered : [] };
}

async function controllersIn(dir: string, file: string): Promise<Controller[]> {
  const names = words((await take(dir, file)) ?? '');
  return CONTROLLERS.filter((one) => names.includes(one));
}

/**
 * Whether every process in it is the service or was started by it: no stranger is moved, but in a container, whose processes
 * are all there for the service. At the root of v2 none has to be.
 */
async function isMovable(dir: string, ofContainer: boolean): Promise<boolean> {
  if ((await take(dir, 'cgroup.type')) === undefined) return true;
  const procs = await procsOf(dir);
  return procs.every((pid) => pid > 0 && (ofContainer || isOfService(pid)));
}
