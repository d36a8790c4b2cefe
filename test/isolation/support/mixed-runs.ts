import type { CommandOutcome, Isolation, Limits, Sandbox } from '../../../src/runtime/isolation.ts';
import { MIB, openSandbox } from './attack.ts';

/** One way in which a command of a run ends. */
interface Kind {
  readonly name: string;
  readonly command: string;
  readonly limits?: Partial<Limits>;
  readonly timeoutMs?: number;
  readonly cancelAfterMs?: number;
  /** The sandbox is closed while it runs. */
  readonly closeAfterMs?: number;
  readonly ends: readonly CommandOutcome[];
}

const SMALL: Partial<Limits> = { memoryBytes: 32 * MIB, diskBytes: 8 * MIB, pids: 32 };

const KINDS: readonly Kind[] = [
  { name: 'ok', command: 'echo hello', ends: ['ok'] },
  { name: 'failed', command: 'echo problem >&2; exit 3', ends: ['failed'] },
  { name: 'signal', command: 'kill -SEGV $$; sleep 5', ends: ['failed'] },
  { name: 'timeout', command: "trap '' TERM; echo partial; sleep 30", timeoutMs: 150, ends: ['timeout'] },
  { name: 'oom', command: 'head -c 400M /dev/zero | tail -c 400M | wc -c', limits: SMALL, ends: ['oom'] },
  { name: 'output flood', command: 'cat /dev/zero', ends: ['output_limit'] },
  { name: 'disk full', command: 'cat /dev/zero > big', limits: SMALL, ends: ['disk_limit'] },
  { name: 'cancelled', command: 'echo partial; sleep 30', cancelAfterMs: 60, ends: ['cancelled'] },
  { name: 'closed', command: 'echo partial; sleep 30', closeAfterMs: 60, ends: ['cancelled'] },
  {
    name: 'daemonising',
    command: `(setsid sh -c 'trap "" TERM HUP INT; while :; do sleep 1; done' >/dev/null 2>&1 &) ; (setsid sleep 1000 &); echo started`,
    ends: ['ok'],
  },
  {
    name: 'forking',
    command: 'b() { b | b & }; b; while :; do :; done',
    limits: SMALL,
    timeoutMs: 200,
    ends: ['timeout', 'failed', 'oom'],
  },
  {
    name: 'hostile tree',
    command:
      'i=0; while [ $i -lt 60 ]; do mkdir d && cd d; i=$((i+1)); done; ln -s / root; mkfifo p; chmod 0 .; exit 0',
    ends: ['ok'],
  },
];

export interface MixedRuns {
  readonly runs: number;
  /** What did not end as it must: `oom: ok (…)`. */
  readonly wrong: readonly string[];
  readonly byKind: ReadonlyMap<string, number>;
  readonly ms: number;
}

/** Runs of every kind in turn, each in a sandbox of its own, some with a second command, so many at the same time. */
export async function mixedRuns(isolation: Isolation, runs: number, concurrency: number): Promise<MixedRuns> {
  const started = performance.now();
  const wrong: string[] = [];
  const byKind = new Map<string, number>();
  let next = 0;
  const worker = async () => {
    for (let n = next++; n < runs; n = next++) {
      const kind = KINDS[n % KINDS.length] ?? KINDS[0];
      if (kind === undefined) return;
      const problem = await oneRun(isolation, kind, n).catch((error: unknown) => `rejected: ${String(error)}`);
      if (problem !== undefined) wrong.push(`${kind.name} (${n}): ${problem}`);
      byKind.set(kind.name, (byKind.get(kind.name) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return { runs, wrong, byKind, ms: performance.now() - started };
}

async function oneRun(isolation: Isolation, kind: Kind, n: number): Promise<string | undefined> {
  const sandbox = await openSandbox(isolation, kind.limits === undefined ? {} : { limits: kind.limits });
  try {
    const done = await command(sandbox, kind);
    if (!kind.ends.includes(done.result)) return `${done.result} ${JSON.stringify(done).slice(0, 600)}`;
    if (kind.closeAfterMs !== undefined || n % 3 !== 0) return undefined;
    const again = await sandbox.run('echo again', { timeoutMs: 20_000, signal: new AbortController().signal });
    return again.stdout.text === 'again\n' ? undefined : `then ${again.result} ${JSON.stringify(again).slice(0, 600)}`;
  } finally {
    await sandbox.close();
  }
}

async function command(sandbox: Sandbox, { command, timeoutMs = 20_000, cancelAfterMs, closeAfterMs }: Kind) {
  const stop = new AbortController();
  const running = sandbox.run(command, { timeoutMs, signal: stop.signal });
  const timers = [
    cancelAfterMs === undefined ? undefined : setTimeout(() => stop.abort(), cancelAfterMs),
    closeAfterMs === undefined ? undefined : setTimeout(() => void sandbox.close(), closeAfterMs),
  ];
  return running.finally(() => timers.forEach(clearTimeout));
}
