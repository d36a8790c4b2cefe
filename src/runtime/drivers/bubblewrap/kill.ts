import type { CommandCgroup } from './place.ts';
import { send } from './signal-command.ts';

/** ms for the kernel to end a namespace whose first process is gone. */
const KERNEL_MS = 500;

export interface KillTarget {
  /** Of the outermost process, which leads its process group. */
  readonly pid: number;
  readonly firstProcess: Promise<number | undefined>;
  readonly ended: Promise<unknown>;
  readonly cgroup: CommandCgroup;
}

/**
 * Ends a chain: the first process of its namespace, with which the kernel ends all others and which bwrap then waits for.
 * bwrap itself only when that did not help: what it leaves would be nobody's to wait for. One call ends it, more wait for
 * the same end.
 */
export function createKill(target: KillTarget): () => Promise<void> {
  let killing: Promise<void> | undefined;
  let isOver = false;
  const over = target.ended.then(() => {
    isOver = true;
  });

  async function kill(): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => resolve(undefined), KERNEL_MS);
    // Not yet told in a chain that has just begun: comes within milliseconds.
    const first = await Promise.race([target.firstProcess, late]);
    // The number is nobody else's as long as bwrap has not ended, for it has not been waited for.
    if (first !== undefined && !isOver) send(first, 'SIGKILL');
    await Promise.race([over, late]);
    clearTimeout(timer);
    if (isOver) return;
    await target.cgroup.kill();
    if (!isOver) send(-target.pid, 'SIGKILL');
    await over;
  }

  return () => {
    killing ??= kill();
    return killing;
  };
}
