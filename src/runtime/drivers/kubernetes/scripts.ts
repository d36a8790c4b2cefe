/**
 * Process 1 of a sandbox. It waits, and reaps what its children leave; a command that kills everything leaves it with a new
 * child to wait for. What is ignored, and SIGKILL from inside its namespace, does not reach it.
 */
export const IDLE = ['/bin/sh', '-c', "trap '' HUP INT QUIT TERM; while :; do sleep 3600 & wait; done"] as const;

/** What a command finds besides what was asked for; the same as on one machine. */
const BASE_ENV = { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: '/workspace', TMPDIR: '/tmp', LANG: 'C.UTF-8' } as const;

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** The shell that reads `commandScript` from its stdin: neither commands nor variables are in the API server's logs. */
export const SHELL = ['/bin/sh'] as const;

export interface CommandScript {
  readonly command: string;
  readonly env: Readonly<Record<string, string>>;
  readonly pids: number;
  /** Seconds after which it is killed inside, for when nobody outside is left to do it. */
  readonly seconds: number;
}

/** Undefined for what cannot be said to a shell: a NUL, or a name of a variable that is none. */
export function commandScript({ command, env, pids, seconds }: CommandScript): string | undefined {
  const all = { ...BASE_ENV, ...env };
  const entries = Object.entries(all);
  if (command.includes('\0')) return undefined;
  if (entries.some(([name, value]) => !NAME.test(name) || value.includes('\0'))) return undefined;
  const variables = entries.map(([name, value]) => quoted(`${name}=${value}`)).join(' ');
  return [
    'umask 022; ulimit -c 0',
    // bash and busybox call it -u, dash -p. Counted for the uid, which no other sandbox of the node has.
    `ulimit -u ${pids} 2>/dev/null || ulimit -p ${pids} 2>/dev/null`,
    'cd /workspace || exit 125',
    `exec env -i ${variables} timeout -s KILL ${seconds} /bin/sh -c ${quoted(command)} </dev/null`,
    '',
  ].join('\n');
}

/**
 * After each command: ends what it left (a kill of -1 reaches all but process 1 and its caller, and no fork outruns it),
 * empties /tmp and /dev/shm, and says what cannot be seen from outside. A process that begins by this is trusted, its
 * successor is not: what it says decides nothing but the word for this run's own result.
 */
export const AFTER = [
  '/bin/sh',
  '-c',
  `kill -9 -1 2>/dev/null
empty() { [ -z "$(ls -A /tmp)$(ls -A /dev/shm)" ]; }
empty || find /tmp /dev/shm -mindepth 1 -delete 2>/dev/null || { chmod -R u+rwx /tmp/* /tmp/.[!.]* /dev/shm/* 2>/dev/null; find /tmp /dev/shm -mindepth 1 -delete 2>/dev/null; }
empty && echo clean
cat /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control 2>/dev/null | grep '^oom_kill '
echo "free $(df -Pk /workspace | tail -n 1)"
echo "inodes $(df -Pi /workspace 2>/dev/null | tail -n 1)"
exit 0`,
] as const;

export interface Afterwards {
  /** False: files of the command are still in /tmp. */
  readonly clean: boolean;
  /** Processes killed for memory since the sandbox began; undefined where the counter is not shown. */
  readonly oomKills: number | undefined;
  readonly diskFull: boolean;
}

/** KiB that a full file system may still show as free. */
const NEARLY_NONE = 8;

export function readAfterwards(text: string): Afterwards {
  const lines = text.split('\n').map((line) => line.trim().split(/\s+/));
  const after = (word: string) => lines.find(([first]) => first === word);
  const kills = numberOf(after('oom_kill')?.[1]);
  const free = numberOf(after('free')?.[4]);
  const inodes = numberOf(after('inodes')?.[4]);
  return {
    clean: after('clean') !== undefined,
    oomKills: kills,
    // A file system that counts no inodes shows 0 of 0.
    diskFull: (free ?? Infinity) <= NEARLY_NONE || (inodes === 0 && numberOf(after('inodes')?.[2]) !== 0),
  };
}

function numberOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

export function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
