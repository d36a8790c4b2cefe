import { closeSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';

const FIRST_OF_OTHERS = 3;
/** O_CLOEXEC of x64 and arm64, as /proc tells it. */
const CLOSE_ON_EXEC = 0o2000000;

/**
 * Closes what this process was started with beside its three streams: every program that it starts would have it too, also
 * what is isolated. Node itself sees to the lowest of them only. To be called when settings have been read (one may name such
 * a descriptor) and before native libraries open anything; all that Node opens is closed for others anyway. Gives the numbers.
 */
export function closeInheritedDescriptors(): number[] {
  if (process.platform !== 'linux') return [];
  const closed: number[] = [];
  for (const fd of readdirSync('/proc/self/fd').map(Number)) {
    if (fd < FIRST_OF_OTHERS || !isInherited(fd) || isChannel(fd)) continue;
    closeSync(fd);
    closed.push(fd);
  }
  return closed;
}

function isInherited(fd: number): boolean {
  const flags = /^flags:\s*(\d+)$/m.exec(infoOf(fd))?.[1];
  return flags !== undefined && (Number.parseInt(flags, 8) & CLOSE_ON_EXEC) === 0;
}

/** To the Node process that has started this one, if one has; Node does not say which socket it is. */
function isChannel(fd: number): boolean {
  return process.connected === true && readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:');
}

function infoOf(fd: number): string {
  try {
    return readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8');
  } catch (error) {
    // The one that the directory was read with.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return '';
    throw error;
  }
}
