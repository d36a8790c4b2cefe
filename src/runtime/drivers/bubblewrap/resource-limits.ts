import type { Limits } from '../../isolation.ts';

const OPEN_FILES = 1024;
const LOCKED_BYTES = 65_536;

/**
 * Arguments of prlimit, hard and soft. Memory is not among them: an address space limit breaks Node, the others can be gone
 * around; only the cgroup limits it. Processes are limited inside, where none but theirs are counted.
 */
export function resourceLimits(limits: Limits, cpuSeconds: number | undefined): string[] {
  const values: Record<string, number> = {
    core: 0,
    fsize: limits.diskBytes,
    nofile: OPEN_FILES,
    memlock: LOCKED_BYTES,
    msgqueue: 0,
    ...(cpuSeconds === undefined ? {} : { cpu: Math.max(1, Math.ceil(cpuSeconds)) }),
  };
  return Object.entries(values).map(([name, value]) => `--${name}=${value}:${value}`);
}
