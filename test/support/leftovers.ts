import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import type { Tap } from './postgres.ts';

const POLL_MS = 25;
const LIMIT_MS = 5_000;
/** First uid of isolated processes; whatever runs as one of them or above is of an isolation. */
const UID_BASE = 65_536;

export interface LeftoversOptions {
  /** Directory whose entries are compared. */
  readonly stateDir?: string;
  /** ms until what is still there counts as left. */
  readonly limitMs?: number;
}

export interface Leftovers {
  /** Rejects with what has come since the watch began and does not go. */
  nothingLeft(): Promise<void>;
  /** Mounts and cgroups of another process count from now on too, such as a service that the test has started. */
  alsoOf(pid: number): void;
}

/**
 * Compares what isolation could leave on this machine with what was there before: processes, mounts, cgroups, files of the
 * state directory, descriptors of this process. Checked at teardown, and whenever the test asks. Other tests of isolation run
 * beside: processes count when they descend from this one or are orphans, mounts and cgroups by the id of their maker in
 * their name.
 */
export function watchLeftovers(t: Tap, options: LeftoversOptions = {}): Leftovers {
  const owners = [process.pid];
  const now = () => snapshot(options.stateDir, owners);
  const before = now();
  const nothingLeft = async () => {
    const deadline = Date.now() + (options.limitMs ?? LIMIT_MS);
    for (let left = added(before, now()); left.length > 0; ) {
      if (Date.now() > deadline) throw new Error(`left behind:\n${left.map((one) => `  ${one}`).join('\n')}`);
      await delay(POLL_MS);
      left = added(before, now());
    }
  };
  t.teardown(nothingLeft);
  return { nothingLeft, alsoOf: (pid) => owners.push(pid) };
}

function snapshot(stateDir: string | undefined, owners: readonly number[]): Set<string> {
  const isOurs = (text: string) => owners.some((pid) => text.includes(`castellan-${pid}-`));
  return new Set([
    ...ownProcesses(),
    ...lines('/proc/self/mountinfo').filter(isOurs),
    ...cgroups()
      .filter(isOurs)
      .map((path) => `cgroup ${path}`),
    ...(stateDir === undefined ? [] : entries(stateDir).map((path) => `file ${path}`)),
    ...descriptors(),
  ]);
}

function added(before: ReadonlySet<string>, after: ReadonlySet<string>): string[] {
  return [...after].filter((one) => !before.has(one));
}

/** Descendants of this process, and orphans with a uid of isolated processes that it could have left to init. */
function ownProcesses(): string[] {
  const all = new Map(numeric('/proc').flatMap((pid) => statOf(pid) ?? []));
  const isMine = (pid: number): boolean => {
    for (let at = all.get(pid)?.parent; at !== undefined && at > 1; at = all.get(at)?.parent)
      if (at === process.pid) return true;
    return false;
  };
  return [...all].flatMap(([pid, { parent, name, uid }]) =>
    isMine(pid) || (parent === 1 && uid >= UID_BASE) ? [`process ${pid} ${name}`] : [],
  );
}

function statOf(pid: number): [[number, { parent: number; name: string; uid: number }]] | undefined {
  const status = new Map(
    lines(`/proc/${pid}/status`).map((line): [string, string] => {
      const [name = '', value = ''] = line.split(':\t');
      return [name, value];
    }),
  );
  // What has ended, and waits for whoever is to hear of it, is none.
  if (status.size === 0 || status.get('State')?.startsWith('Z') === true) return undefined;
  const parent = Number(status.get('PPid'));
  const uid = Number(status.get('Uid')?.split('\t')[0]);
  return [[pid, { parent, name: status.get('Name') ?? '', uid }]];
}

function cgroups(): string[] {
  const roots = lines('/proc/self/mountinfo').flatMap((line) => {
    const [mount = '', type = ''] = line.split(' - ');
    return /^cgroup2? /.test(type) ? [mount.split(' ')[4] ?? ''] : [];
  });
  return roots.flatMap((root) => directories(root, 8));
}

function directories(dir: string, depth: number): string[] {
  if (depth === 0) return [];
  const below = orGone(() => readdirSync(dir, { withFileTypes: true }), []);
  return below
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) => [join(dir, name), ...directories(join(dir, name), depth - 1)]);
}

function entries(dir: string): string[] {
  return orGone(() => readdirSync(dir), []).map((name) => join(dir, name));
}

/** Descriptors by what they are: their numbers are used again. Sockets and pipes of the test itself come and go. */
function descriptors(): string[] {
  return numeric('/proc/self/fd').flatMap((fd) => {
    const target = orGone(() => readlinkSync(`/proc/self/fd/${fd}`), '');
    return target.startsWith('/') && !target.startsWith('/proc/') ? [`descriptor ${fd} ${target}`] : [];
  });
}

function numeric(dir: string): number[] {
  return orGone(() => readdirSync(dir), [])
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

function lines(path: string): string[] {
  return orGone(() => readFileSync(path, 'utf8'), '')
    .split('\n')
    .filter((line) => line !== '');
}

/** What ends while it is looked at is not there. */
function orGone<T>(read: () => T, gone: T): T {
  try {
    return read();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'ENOTDIR' || code === 'EACCES') return gone;
    throw error;
  }
}
