import { HttpConnection, type Target } from './http-connection.ts';
import { quantile } from './statistics.ts';

export interface Storm {
  readonly target: Target;
  readonly connections: number;
  readonly seconds: number;
  next(connection: number, turn: number): Buffer;
}

export interface StormResult {
  /** How often each status was answered. */
  readonly statuses: ReadonlyMap<number, number>;
  /** Requests that were sent and never answered. */
  readonly broken: number;
  readonly answered: number;
  /** ms, of the answers that were a success. */
  readonly p99: number;
  readonly succeeded: number;
  readonly seconds: number;
}

/** Sends as fast as it can and takes whatever is answered. */
export async function runStorm(storm: Storm): Promise<StormResult> {
  const statuses = new Map<number, number>();
  const latencies: number[] = [];
  let [broken, answered] = [0, 0];
  const started = performance.now();
  const until = started + storm.seconds * 1000;
  await Promise.all(Array.from({ length: storm.connections }, (_, index) => drive(index)));
  const sorted = Float64Array.from(latencies).sort();
  const seconds = (performance.now() - started) / 1000;
  return { statuses, broken, answered, p99: quantile(sorted, 0.99), succeeded: sorted.length, seconds };

  async function drive(index: number): Promise<void> {
    const connection = new HttpConnection(storm.target);
    try {
      for (let turn = 0; performance.now() < until; turn += 1) {
        const sent = performance.now();
        try {
          const { status } = await connection.send(storm.next(index, turn));
          answered += 1;
          statuses.set(status, (statuses.get(status) ?? 0) + 1);
          if (status < 300) latencies.push(performance.now() - sent);
        } catch {
          broken += 1;
          connection.close();
        }
      }
    } finally {
      connection.close();
    }
  }
}
