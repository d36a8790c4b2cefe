import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A process with that text in its command line. */
export function processWith(marker: string): number {
  const [first] = processesWith(marker);
  if (first === undefined) throw new Error(`no process has ${marker} in its command line`);
  return first.pid;
}

/** Every process with that text in its command line, whose words end with NUL each. */
export function processesWith(marker: string): { readonly pid: number; readonly commandLine: string }[] {
  return readdirSync('/proc').flatMap((name) => {
    const commandLine = /^\d+$/.test(name) ? read(`/proc/${name}/cmdline`) : undefined;
    return commandLine?.includes(marker) === true ? [{ pid: Number(name), commandLine }] : [];
  });
}

/** Bytes that are charged to the memory cgroup of a process, of either version. */
export function memoryOfCgroup(pid: number): number {
  const lines = (read(`/proc/${pid}/cgroup`) ?? '').split('\n').map((line) => line.split(':'));
  const path = (controller: string) => lines.find(([, names]) => names?.split(',').includes(controller))?.[2];
  const [v1, v2] = [path('memory'), path('')];
  const file =
    v1 === undefined
      ? join(mountOf('cgroup2', ''), v2 ?? '', 'memory.current')
      : join(mountOf('cgroup', 'memory'), v1, 'memory.usage_in_bytes');
  return Number(readFileSync(file, 'utf8'));
}

function mountOf(type: string, option: string): string {
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const [mount = '', rest = ''] = line.split(' - ');
    const [found, , options = ''] = rest.split(' ');
    if (found === type && (option === '' || options.split(',').includes(option))) return mount.split(' ')[4] ?? '';
  }
  throw new Error(`no ${type} is mounted`);
}

/** Undefined for what has ended while we looked. */
function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error) return undefined;
    throw error;
  }
}
