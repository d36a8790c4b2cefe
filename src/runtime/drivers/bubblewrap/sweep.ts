import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { codeOf, killAll, procsOf, removeCgroup } from './cgroups/files.ts';
import type { CgroupPlan } from './cgroups/plan.ts';
import { parseMountinfo } from './cgroups/proc.ts';
import { isGone, parseOwner, SERVICE_SUFFIX } from './owner.ts';
import { sweepSlots } from './slots.ts';
import type { StateDir } from './state-dir.ts';
import type { Tools } from './tools.ts';
import { removeTree, unmount } from './workspaces.ts';

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
    for (const point of await mountsBelow(dir)) await unmount(tools, point);
    await removeTree(tools, dir);
  }
  await sweepSlots(state.slots);
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

async function removeGroups(dir: string, v2: boolean): Promise<void> {
  for (const name of await namesIn(dir)) await removeGroups(join(dir, name), v2);
  await killAll(dir, { v2 });
  await removeCgroup(dir);
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
