import { randomBytes } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';

import { codeOf } from './cgroups/files.ts';

/**
 * A service as the name of what it owns on this machine says it: a pid alone is given out again, but not with the same start
 * time in the same boot.
 */
export interface Owner {
  readonly pid: number;
  /** Clock ticks since boot. */
  readonly started: string;
  readonly boot: string;
  /** Inode of the namespace that the pid counts in. */
  readonly pidNamespace: string;
}

const NAME = /^castellan-(\d+)-(\d+)-([0-9a-f]{8})-(\d+)(?:-service)?$/;

export function thisOwner(): Owner {
  return { pid: process.pid, started: startOf('self') ?? '', boot: bootId(), pidNamespace: pidNamespace() };
}

export function ownerName({ pid, started, boot, pidNamespace }: Owner): string {
  return `castellan-${pid}-${started}-${boot}-${pidNamespace}`;
}

/** Undefined for a name that is not an owner's. */
export function parseOwner(name: string): Owner | undefined {
  const [, pid, started, boot, pidNamespace] = NAME.exec(name) ?? [];
  if (pid === undefined || started === undefined || boot === undefined || pidNamespace === undefined) return undefined;
  return { pid: Number(pid), started, boot, pidNamespace };
}

/** Only what surely lives no more: a pid of another namespace, such as another container's, says nothing here. */
export function isGone(owner: Owner): boolean {
  if (owner.boot !== bootId()) return true;
  return owner.pidNamespace === pidNamespace() && startOf(owner.pid) !== owner.started;
}

/** A name that tells nothing, also to what runs inside. */
export function opaqueName(): string {
  return randomBytes(8).toString('hex');
}

/** proc(5): the 22nd field of stat; the name before it may hold spaces and brackets. Undefined: there is no such process. */
function startOf(pid: number | 'self'): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie does nothing any more.
    return state === 'Z' || state === 'X' ? undefined : rest[18];
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ESRCH') return undefined;
    throw error;
  }
}

function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').slice(0, 8);
}

function pidNamespace(): string {
  return /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? '0';
}
