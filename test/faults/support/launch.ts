import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import type { Environment } from '../../../src/config/read.ts';
import type { Failpoint } from '../../../src/failpoints.ts';
import type { Exit } from '../../support/process.ts';
import type { Order, Report } from './instance.ts';

const INSTANCE = fileURLToPath(new URL('./instance.ts', import.meta.url));
/** ms; a shared machine may take long to boot a process. */
const READY_WITHIN_MS = 60_000;
/** Characters kept of what an instance says. */
const MAX_LOG = 4_000_000;

/** An instance of the service in a process of its own. */
export interface Instance {
  readonly name: string;
  readonly apiUrl: string;
  readonly opsUrl: string;
  readonly child: ChildProcess;
  readonly exited: Promise<Exit>;
  log(): string;
  /** Its end from now on is what the run wants. */
  expectEnd(): void;
  readonly endExpected: boolean;
  killAt(failpoint: Failpoint, nth: number): Promise<void>;
  holdAt(failpoint: Failpoint, ms: number): Promise<void>;
  moveClock(ms: number): Promise<void>;
  /** SIGKILL, at once. */
  kill(): Promise<void>;
  /** SIGTERM; resolves with its end. */
  terminate(): Promise<Exit>;
}

export interface LaunchOptions {
  readonly name: string;
  /** As the environment of `castellan serve` would have them. */
  readonly settings: Environment;
  readonly workspaces: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** What stdout and stderr are; a pipe that is read when absent. */
  readonly output?: number;
}

/** Starts an instance and resolves when it serves. */
export async function launch(options: LaunchOptions): Promise<Instance> {
  const { name, settings, workspaces, output } = options;
  const stdio: StdioOptions = ['ignore', output ?? 'pipe', output ?? 'pipe', 'ipc'];
  const child = spawn(process.execPath, [INSTANCE], {
    env: { PATH: process.env['PATH'] ?? '', ...options.env },
    stdio,
  });
  let log = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      if (log.length < MAX_LOG) log += text;
    });
  }
  const { promise: exited, resolve, reject } = Promise.withResolvers<Exit>();
  child.once('error', reject);
  child.once('close', (code, signal) => resolve({ code, signal }));
  // The channel breaks when the process is killed while something is being said.
  child.on('error', () => undefined);

  const reports: Report[] = [];
  const waiting: ((report: Report | undefined) => void)[] = [];
  child.on('message', (report: Report) => {
    const waiter = waiting.shift();
    if (waiter === undefined) reports.push(report);
    else waiter(report);
  });
  child.once('exit', () => {
    for (const waiter of waiting.splice(0)) waiter(undefined);
  });
  const answer = (): Promise<Report | undefined> => {
    const { promise, resolve: told } = Promise.withResolvers<Report | undefined>();
    const ready = reports.shift();
    if (ready !== undefined || child.exitCode !== null || child.signalCode !== null) told(ready);
    else waiting.push(told);
    return promise;
  };
  const order = async (what: Order): Promise<void> => {
    if (!child.connected) return;
    child.send(what);
    await answer();
  };

  child.send({ do: 'start', settings, workspaces } satisfies Order);
  const timer = setTimeout(() => child.kill('SIGKILL'), READY_WITHIN_MS);
  const ready = await answer();
  clearTimeout(timer);
  if (ready?.is !== 'ready') throw new Error(`${name} did not start: ${log.slice(-4000)}`);

  let endExpected = false;
  return {
    name,
    apiUrl: ready.apiUrl,
    opsUrl: ready.opsUrl,
    child,
    exited,
    log: () => log,
    expectEnd: () => {
      endExpected = true;
    },
    get endExpected() {
      return endExpected;
    },
    killAt: (failpoint, nth) => {
      endExpected = true;
      return order({ do: 'kill-at', failpoint, nth });
    },
    holdAt: (failpoint, ms) => order({ do: 'hold-at', failpoint, ms }),
    moveClock: (ms) => order({ do: 'move-clock', ms }),
    kill: async () => {
      endExpected = true;
      child.kill('SIGKILL');
      await exited;
    },
    terminate: () => {
      endExpected = true;
      child.kill('SIGTERM');
      return exited;
    },
  };
}
