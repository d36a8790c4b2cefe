import { readdir, readFile, writeFile } from 'node:fs/promises';
import { basename, isAbsolute, join } from 'node:path';

import { codeOf, procsOf, removeGroups, take } from './cgroups/files.ts';
import type { CgroupPlan } from './cgroups/plan.ts';
import { parseMountinfo } from './cgroups/proc.ts';
import { isGone, parseOwner, SERVICE_SUFFIX } from './owner.ts';
import { sweepSlots } from './slots.ts';
import type { StateDir } from './state-dir.ts';
import type { Tools } from './tools.ts';
import { removeTree, unmount } from './workspaces.ts';

const CGROUPS_FILE = 'cgroups';

/** Kills and removes the cgroups of services that live no more; what a living one owns is never touched. */
export async function sweepCgroups(plan: CgroupPlan): Promise<void> {
  const dirs = [...new Set([...plan.unified, ...Object.values(plan.v1)])];
  for (const dir of dirs) {
    const v2 = plan.unified.includes(dir);
    for (const name of await goneIn(dir)) {
      // What a service had started besides isolated processes is nobody's to kill.
      const isService = name.endsWith(SERVICE_SUFFIX);
      if (!isService || (await procsOf(join(dir, name))).length === 0)
        await removeGroups(join(dir, name), v2).catch(unlessOfOthers);
    }
  }
}

/** The same for directories, with what is mounted in them, and for claims of user ids. */
export async function sweepStateDir(tools: Tools, state: StateDir): Promise<void> {
  for (const name of await goneIn(state.path)) {
    const dir = join(state.path, name);
    for (const group of await recordedCgroups(dir)) await removeGroups(group, await isUnified(group));
    for (const point of await mountsBelow(dir)) await unmount(tools, point);
    await removeTree(tools, dir);
  }
  await sweepSlots(state.slots);
}

/** Says in its directory which cgroups a service has: one that starts in another cgroup would not find them. */
export function recordCgroups(ownerDir: string, cgroups: readonly string[]): Promise<void> {
  return writeFile(join(ownerDir, CGROUPS_FILE), cgroups.map((path) => `${path}\n`).join(''), { mode: 0o600 });
}

/** Those of them that still bear the name of their owner. */
async function recordedCgroups(ownerDir: string): Promise<string[]> {
  const text = await readFile(join(ownerDir, CGROUPS_FILE), 'utf8').catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return '';
    throw error;
  });
  return text.split('\n').filter((path) => isAbsolute(path) && basename(path) === basename(ownerDir));
}

/** Every cgroup of v2 but the root has it. */
async function isUnified(dir: string): Promise<boolean> {
  return (await take(dir, 'cgroup.type')) !== undefined;
}

async function goneIn(dir: string): Promise<string[]> {
  return (await namesIn(dir)).filter((name) => {
    const owner = parseOwner(name);
    return owner !== undefined && isGone(owner);
  });
}

/** What a service of another user has left is for that user, or for root. */
function unlessOfOthers(error: unknown): void {
  if (!['EACCES', 'EPERM'].includes(codeOf(error) ?? '')) throw error;
}

/** Deepest first. */
async function mountsBelow(dir: string): Promise<string[]> {
  const mounts = parseMountinfo(await readFile('/proc/self/mountinfo', 'utf8'));
  return mounts
    .map(({ point }) => point)
    .filter((point) => point.startsWith(`${dir}/`))
    .toReversed();
}

/** Directories alone; of what goes while it is looked at, none. */
async function namesIn(dir: string): Promise<string[]> {
  try {
    const entries = await readdir(dir, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}
