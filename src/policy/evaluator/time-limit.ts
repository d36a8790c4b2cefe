import type { Worker } from 'node:worker_threads';

import type { Progress } from './progress.ts';

/** For what comes before an evaluation: reading a policy's data (at most 4 MiB), making an instance, getting a core. */
export const PREPARE_LIMIT_MS = 5000;
/**
 * The limit of an evaluation is its own CPU time: on a busy machine it may take this many times as long by the wall
 * clock, or an innocent input would be told that its policy failed.
 */
const PATIENCE = 10;
/** ms between two looks at a thread that does not get its core. */
const MIN_RECHECK_MS = 5;

/** Which limit was passed: that of the evaluation under way, or that for everything around it. */
export type PassedLimit = 'evaluation' | 'preparation';

/** Calls `stop` once when the worker's evaluation runs for `limitMs`, or nothing runs for long. Ended by what it returns. */
export function watchBatch(
  worker: Worker,
  progress: Progress,
  limitMs: number,
  stop: (passed: PassedLimit) => void,
): () => void {
  let isOver = false;
  let seen = 0;
  let seenAt = performance.now();
  let timer = later(limitMs);

  // A timer that is late because this thread was busy fires before the message that is waiting: let it be read.
  function later(ms: number): NodeJS.Timeout {
    return setTimeout(() => setImmediate(() => void look()), ms);
  }
  async function look(): Promise<void> {
    if (isOver) return;
    const { running } = progress;
    if (running !== seen) {
      seen = running;
      seenAt = performance.now();
    }
    const waited = performance.now() - seenAt;
    const left = running === 0 ? PREPARE_LIMIT_MS - waited : await leftOf(waited);
    if (isOver) return;
    if (progress.running !== running) timer = later(limitMs);
    else if (left > 0) timer = later(Math.max(Math.min(left, limitMs), MIN_RECHECK_MS));
    else end(running === 0 ? 'preparation' : 'evaluation');
  }
  async function leftOf(waited: number): Promise<number> {
    return waited < limitMs * PATIENCE ? limitMs - (await usedMs(worker, progress)) : 0;
  }
  function end(passed: PassedLimit): void {
    isOver = true;
    stop(passed);
  }

  return () => {
    isOver = true;
    clearTimeout(timer);
  };
}

/** ms of CPU of the evaluation under way; a thread that is gone has used all it could. */
async function usedMs(worker: Worker, progress: Progress): Promise<number> {
  try {
    const { user, system } = await worker.cpuUsage();
    return progress.usedUntil(user + system) / 1000;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
