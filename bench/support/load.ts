import { type CpuUse, cpuBetween, readCpu } from './cpu.ts';
import { type Answer, HttpConnection, type Target } from './http-connection.ts';
import { quantile } from './statistics.ts';

export interface Load {
  readonly target: Target;
  readonly connections: number;
  /** No request is sent after this; the run also ends when `next` has no more. */
  readonly seconds: number;
  /** The bytes of the connection's next request. */
  next(connection: number): Buffer | undefined;
  /** A part that every body must have: an answer with another status or body ends the run as an error. */
  readonly mustSay: string;
  readonly status?: number;
}

/** Who spends the CPU: the process of the server, and the PostgreSQL behind it. */
export interface Processes {
  readonly server: number;
  readonly postmaster: number;
}

/** What a run of calls gave. */
export interface Timing {
  readonly requests: number;
  readonly seconds: number;
  readonly perSecond: number;
  /** ms */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface LoadResult extends Timing {
  readonly cpu: CpuUse;
}

/** Makes `concurrency` calls at a time for `seconds`, each as soon as one before it is done. */
export async function timeCalls(
  concurrency: number,
  seconds: number,
  call: (index: number) => Promise<void>,
): Promise<Timing> {
  const latencies: number[] = [];
  const started = performance.now();
  const until = started + seconds * 1000;
  await Promise.all(
    Array.from({ length: concurrency }, async (_, index) => {
      for (let at = performance.now(); at < until; ) {
        await call(index);
        const done = performance.now();
        latencies.push(done - at);
        at = done;
      }
    }),
  );
  return timing(latencies, (performance.now() - started) / 1000);
}

function timing(latencies: readonly number[], seconds: number): Timing {
  const sorted = Float64Array.from(latencies).sort();
  const at = (p: number) => quantile(sorted, p);
  return {
    requests: sorted.length,
    seconds,
    perSecond: sorted.length / seconds,
    p50: at(0.5),
    p99: at(0.99),
    max: at(1),
  };
}

/** Sends one request after the other on every connection, and measures each. Rejects at the first wrong answer. */
export async function runLoad(load: Load, processes: Processes): Promise<LoadResult> {
  const connections = Array.from({ length: load.connections }, () => new HttpConnection(load.target));
  const expected = { status: load.status ?? 200, part: Buffer.from(load.mustSay) };
  const latencies: number[] = [];
  try {
    await Promise.all(connections.map((connection) => connection.open()));
    const before = readCpu(processes.server, processes.postmaster);
    const started = performance.now();
    const until = started + load.seconds * 1000;
    await Promise.all(connections.map((connection, index) => drive(connection, index)));
    const seconds = (performance.now() - started) / 1000;
    const cpu = cpuBetween(before, readCpu(processes.server, processes.postmaster));
    return { ...timing(latencies, seconds), cpu };

    async function drive(connection: HttpConnection, index: number): Promise<void> {
      for (let at = performance.now(); at < until; ) {
        const request = load.next(index);
        if (request === undefined) return;
        requireExpected(await connection.send(request), expected, request);
        const done = performance.now();
        latencies.push(done - at);
        at = done;
      }
    }
  } finally {
    for (const connection of connections) connection.close();
  }
}

function requireExpected(answer: Answer, expected: { status: number; part: Buffer }, request: Buffer): void {
  if (answer.status === expected.status && answer.body.includes(expected.part)) return;
  const line = request.toString('latin1').split('\r\n')[0];
  throw new Error(`${line}: ${answer.status} ${answer.body.toString('utf8').slice(0, 500)}`);
}
