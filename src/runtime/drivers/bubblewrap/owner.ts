import { randomBytes } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';

import { codeOf } from './cgroups/files.ts';

/**
 * A service as the name of what it owns on this machine says it: a pid alone is given out again, but not with the same start
 * time in the same boot.
 */
export interface Owner {
  readonly pid: number;
  /** Clock ticks since boot, to the base of 36 as all long numbers: the path of a socket is to be short. */
  readonly started: string;
  readonly boot: string;
  /** Inode of the namespace that the pid counts in. */
  readonly pidNamespace: string;
  /** Of several in one process. */
  readonly instance: string;
}

/** Of the cgroup that the service itself is moved into. */
export const SERVICE_SUFFIX = '-service';

const NAME = /^castellan-(\d+)-([0-9a-z]+)-([0-9a-f]{6})-([0-9a-z]+)-(\d+)(?:-service)?$/;

let instances = 0;

/** A new one with every call: each isolation of this process has directories of its own. */
export function newOwner(): Owner {
  instances += 1;
  return {
    pid: process.pid,
    started: startOf('self') ?? '',
    boot: bootId(),
    pidNamespace: pidNamespace(),
    instance: `${instances}`,
  };
}

export function ownerName({ pid, started, boot, pidNamespace, instance }: Owner): string {
  return `castellan-${pid}-${started}-${boot}-${pidNamespace}-${instance}`;
}

/** Undefined for a name that is not an owner's. */
export function parseOwner(name: string): Owner | undefined {
  const [, pid, started, boot, pidNamespace, instance] = NAME.exec(name) ?? [];
  if (pid === undefined || started === undefined || boot === undefined) return undefined;
  if (pidNamespace === undefined || instance === undefined) return undefined;
  return { pid: Number(pid), started, boot, pidNamespace, instance };
}

/** Only what surely lives no more: a pid of another namespace, such as another container's, says nothing here. */
export function isGone(owner: Owner): boolean {
  if (owner.boot !== bootId()) return true;
  return owner.pidNamespace === pidNamespace() && startOf(owner.pid) !== owner.started;
}

/** A name that tells nothing, also to what runs inside. */
export function opaqueName(): string {
  return randomBytes(6).toString('base64url');
}

/** proc(5): the 22nd field of stat; the name before it may hold spaces and brackets. Undefined: there is no such process. */
function startOf(pid: number | 'self'): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie does nothing any more.
    return state === 'Z' || state === 'X' ? undefined : short(rest[18] ?? '0');
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ESRCH') return undefined;
    throw error;
  }
}

function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').slice(0, 6);
}

function pidNamespace(): string {
  return short(/\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? '0');
}

function short(decimal: string): string {
  return Number(decimal).toString(36);
}
