import { readFileSync, readlinkSync } from 'node:fs';

import { sha256Digest } from '../crypto/digest.ts';
import { newId } from '../ids.ts';
import type { Storage } from '../storage/storage.ts';
import { type ForeignRun, HOST_BEAT } from './store.ts';

/** Ms between two signs of life while there are runs. */
const BEAT_MS = 2000;
/** Ms of silence after which a process is looked at again. */
export const SILENT_MS = 8000;

/** This process among those that make sandbox runs. */
export interface Host {
  readonly instance: string;
  /** Where its process id means something; undefined where that cannot be known. */
  readonly place: string | undefined;
  /** Says that it is alive, unless it has just done so. */
  beat(): Promise<void>;
  /** Which of the runs have lost the process that was to end them. One that is only silent has to be so twice. */
  lost(runs: readonly ForeignRun[]): readonly ForeignRun[];
}

export function createHost(storage: Pick<Storage, 'call'>, now: () => number): Host {
  const instance = newId();
  const place = placeHere();
  let beatAt = Number.NEGATIVE_INFINITY;
  let seen = new Map<string, number>();

  async function beat(): Promise<void> {
    const at = now();
    if (at - beatAt < BEAT_MS) return;
    await storage.call(HOST_BEAT, [instance, place ?? null, process.pid]);
    beatAt = at;
  }

  function lost(runs: readonly ForeignRun[]): readonly ForeignRun[] {
    // After an outage of the database everybody has been silent: the others get time for a sign of life.
    const silent = new Map(
      runs.filter((run) => run.is_silent).map((run) => [run.owner, run.beat_at?.getTime() ?? 0] as const),
    );
    const before = seen;
    seen = silent;
    return runs.filter((run) => {
      if (place !== undefined && run.place === place && run.pid !== null && !isAlive(run.pid)) return true;
      return run.is_silent && before.get(run.owner) === silent.get(run.owner);
    });
  }

  return { instance, place, beat, lost };
}

/** The same machine since its last boot, and the same namespace of processes. */
function placeHere(): string | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return sha256Digest(`${boot} ${readlinkSync('/proc/self/ns/pid')}`);
  } catch {
    // Not Linux: silence alone tells.
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Somebody else's process is one, too.
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH');
  }
}
