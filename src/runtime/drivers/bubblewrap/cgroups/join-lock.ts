/** ms for which the kernel lets join at once after somebody has; a little less than the shortest. */
const OPEN_MS = 8;

/**
 * Opens the lock of v2 ahead of time. Who writes cgroup.procs waits for a grace period of the kernel, about 10 ms in which
 * nothing is done, unless somebody has just written one, whichever: so one is written when a place is begun, which is joined
 * some milliseconds later. Whether that comes to anything does not matter.
 */
export function createJoinLock(write: () => void, now: () => number = () => performance.now()): { open(): void } {
  let last = Number.NEGATIVE_INFINITY;
  return {
    open() {
      if (now() - last < OPEN_MS) return;
      last = now();
      write();
    },
  };
}
