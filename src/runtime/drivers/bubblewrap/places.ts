import { chown, readdir, readFile, rmdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';

import type { BubblewrapConfig } from '../../../config/runtime.ts';
import { IsolationUnavailable } from '../../errors.ts';
import type { Limits } from '../../isolation.ts';
import { codeOf } from './cgroups/files.ts';
import type { Group } from './cgroups/group.ts';
import { createJoinLock } from './cgroups/join-lock.ts';
import { type CgroupTree, openTree, readPlan } from './cgroups/tree.ts';
import { newOwner, opaqueName, ownerName } from './owner.ts';
import type { CommandCgroup, Place, Places, ScratchSizes, Slot } from './place.ts';
import { areMapped, createSlots, type Slots } from './slots.ts';
import { makeDir, openStateDir } from './state-dir.ts';
import { recordCgroups, sweepCgroups, sweepStateDir } from './sweep.ts';
import { createToolShell } from './tool-shell.ts';
import type { Tools } from './tools.ts';
import { mountWorkspace, plainWorkspace, removeTree, type Workspace } from './workspaces.ts';

const MIB = 1024 ** 2;
/** /tmp, /dev/shm and /run inside. */
const SCRATCH: ScratchSizes = { tmp: 64 * MIB, shm: 64 * MIB, run: 4 * MIB };
/** Processes of the chain itself: outer bwrap, its init, the relay of the egress and its connections' forks. */
const CHAIN_PIDS = 4;
const NO_GROUP: CommandCgroup = {
  joinPaths: [],
  kill: async () => undefined,
  usage: async () => ({ peakMemoryBytes: null, cpuMs: null }),
  oomKills: async () => 0,
};

interface Ground {
  /** Directory of this service in the state directory. */
  readonly dir: string;
  readonly sharedDir: string;
  readonly slots: Slots | undefined;
  /** Absent: limits are degraded. */
  readonly tree: CgroupTree | undefined;
  readonly joinLock: { open(): void } | undefined;
  readonly mounts: boolean;
}

export interface PlacesOptions {
  readonly config: BubblewrapConfig;
  readonly tools: Tools;
  /** Of the service; 0 gives each place a user of its own. */
  readonly uid: number;
}

export function createPlaces(options: PlacesOptions): Places {
  const { config, tools, uid } = options;
  const name = ownerName(newOwner());
  const toolShell = createToolShell(tools.sh);
  let ground: Promise<Ground> | undefined;
  const late = new Set<(() => Promise<unknown>)[]>();
  let used = 0;
  let limits: Places['limits'] = 'enforced';

  const prepare = () => {
    ground ??= layGround().catch((error: unknown) => {
      ground = undefined;
      throw error;
    });
    return ground;
  };

  async function layGround(): Promise<Ground> {
    if (uid === 0) await requireIds(config);
    const state = await openStateDir(config.stateDir, uid);
    const plan = await readPlan(config.cgroup);
    await sweepCgroups(plan);
    await sweepStateDir(tools, state);
    const tree = await openTree(plan, name).catch((error: unknown) => {
      if (!config.degradedLimits || !(error instanceof IsolationUnavailable)) throw error;
      return undefined;
    });
    const mounts = uid === 0;
    if (!mounts && !config.degradedLimits) {
      await tree?.close();
      throw new IsolationUnavailable({
        check: 'workspaces',
        observed: 'an ordinary user can mount nothing, so that disk cannot be limited',
        fix: 'Run the service as root, or accept that with CASTELLAN_RUNTIME_DEGRADED_LIMITS=true',
      });
    }
    limits = tree !== undefined && mounts ? 'enforced' : 'degraded';
    const dir = join(state.path, name);
    const sharedDir = join(dir, 'shared');
    for (const one of [dir, sharedDir]) await makeDir(one, uid === 0 ? 0o711 : 0o700);
    await recordCgroups(dir, tree?.dirs ?? []);
    const slots = uid === 0 ? createSlots({ dir: state.slots, ownerName: name, uidBase: config.uidBase }) : undefined;
    return { dir, sharedDir, slots, tree, joinLock: joinLockOf(tree), mounts };
  }

  function joinLockOf(tree: CgroupTree | undefined) {
    if (tree?.unified === undefined) return undefined;
    const procs = join(tree.unified, 'cgroup.procs');
    return createJoinLock(() => toolShell.write(procs, '0'));
  }

  async function open(asked: Limits): Promise<Place> {
    const at = await prepare();
    if (late.size > 0) await giveBackLate();
    if (used >= config.slots) {
      throw new IsolationUnavailable({
        check: 'slots',
        observed: `all ${config.slots} places are in use`,
        fix: 'End what runs, or raise CASTELLAN_RUNTIME_SLOTS',
      });
    }
    used += 1;
    const opaque = opaqueName();
    const grouped = openGroup(at, opaque, asked);
    // Waited for below; until then its failure is nobody's.
    grouped.catch(() => undefined);
    const undo: (() => Promise<unknown>)[] = [
      async () => {
        used -= 1;
      },
    ];
    const release = once(() => giveBack(undo));
    try {
      const slot = await at.slots?.take();
      if (slot !== undefined) undo.push(async () => at.slots?.give(slot));
      const dir = join(at.dir, opaque);
      await makeDir(dir, slot === undefined ? 0o700 : 0o710);
      undo.push(() => removeFlat(dir));
      if (slot !== undefined) await chown(dir, uid, slot.gid);
      const workspace = await openWorkspace(at, join(dir, 'workspace'), asked, slot);
      undo.push(() => workspace.remove());
      const group = await grouped;
      if (group !== undefined) undo.push(() => group.remove());
      return placeOf({ slot, dir, workspace, group, limits: asked, release });
    } catch (error) {
      const group = await grouped.catch(() => undefined);
      if (group !== undefined) undo.push(() => group.remove());
      await release();
      throw error;
    }
  }

  /** What cannot be given back now, for want of a descriptor or so, is tried again before the next place is opened. */
  async function giveBack(undo: (() => Promise<unknown>)[]): Promise<void> {
    try {
      await unwind(undo);
    } catch (error) {
      late.add(undo);
      throw error;
    }
  }

  async function giveBackLate(): Promise<void> {
    const again = [...late];
    late.clear();
    // Who waited for it was told; what fails once more stays for the next time.
    await Promise.allSettled(again.map(giveBack));
  }

  /** Beside all else: the lock of joining opens meanwhile, and while it does nobody makes a cgroup. */
  async function openGroup({ tree, joinLock }: Ground, name: string, asked: Limits): Promise<Group | undefined> {
    const group = await tree?.open(name, groupLimits(asked));
    joinLock?.open();
    return group;
  }

  function openWorkspace({ mounts }: Ground, dir: string, { diskBytes }: Limits, slot: Slot | undefined) {
    if (!mounts) return plainWorkspace(tools, dir);
    return mountWorkspace({ tools, run: toolShell.run }, dir, diskBytes, slot ?? { uid, gid: uid });
  }

  return {
    prepare: async () => ({ sharedDir: (await prepare()).sharedDir }),
    open,
    get limits() {
      return limits;
    },
    slots: {
      get used() {
        return used;
      },
      total: config.slots,
    },
    sweep: async () => {
      await sweepCgroups(await readPlan(config.cgroup));
      await sweepStateDir(tools, await openStateDir(config.stateDir, uid));
    },
    close: async () => {
      const at = await ground?.catch(() => undefined);
      ground = undefined;
      if (at === undefined) return;
      await giveBackLate();
      await toolShell.close();
      await at.tree?.close();
      await removeTree(tools, at.dir);
    },
  };
}

async function requireIds({ uidBase, slots }: BubblewrapConfig): Promise<void> {
  if (areMapped(await readFile('/proc/self/uid_map', 'utf8'), uidBase, slots)) return;
  throw new IsolationUnavailable({
    check: 'user-ids',
    observed: `the user ids from ${uidBase} on are not of the user namespace that the service runs in`,
    fix: 'Set CASTELLAN_RUNTIME_UID_BASE and CASTELLAN_RUNTIME_SLOTS to ids that are, or run the service outside of containers',
  });
}

function groupLimits({ cpu, pids, memoryBytes, diskBytes }: Limits) {
  const { tmp, shm, run } = SCRATCH;
  return { cpu, pids: pids + CHAIN_PIDS, memoryBytes: memoryBytes + diskBytes + tmp + shm + run };
}

function placeOf(parts: {
  slot: Slot | undefined;
  dir: string;
  workspace: Workspace;
  group: Group | undefined;
  limits: Limits;
  release: () => Promise<void>;
}): Place {
  const { slot, dir, workspace, group, limits, release } = parts;
  return {
    slot,
    limits,
    dir,
    workspaceDir: workspace.dir,
    scratch: SCRATCH,
    enter: async () => group?.enter() ?? NO_GROUP,
    isDiskFull: () => workspace.isFull(),
    release,
  };
}

/** Newest first. What cannot be undone keeps what it rests on, above all its user id; another time it begins there. */
async function unwind(undo: (() => Promise<unknown>)[]): Promise<void> {
  for (let step = undo.at(-1); step !== undefined; step = undo.at(-1)) {
    await step();
    undo.pop();
  }
}

function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => {
    done ??= work();
    return done;
  };
}

/** What the service itself has put there: no directories. */
async function removeFlat(dir: string): Promise<void> {
  for (const name of await readdir(dir)) {
    await unlink(join(dir, name)).catch((error: unknown) => {
      if (codeOf(error) !== 'ENOENT') throw error;
    });
  }
  await rmdir(dir);
}
