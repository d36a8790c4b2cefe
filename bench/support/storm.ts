import { HttpConnection, type Target } from './http-connection.ts';
import { quantile } from './statistics.ts';

/** Characters kept of an answer. */
const SAMPLE = 300;

export interface Storm {
  readonly target: Target;
  readonly connections: number;
  readonly seconds: number;
  next(connection: number, turn: number): Buffer;
}

export interface StormResult {
  /** How often each status was answered. */
  readonly statuses: ReadonlyMap<number, number>;
  /** The first answer of each status that is no success. */
  readonly samples: ReadonlyMap<number, string>;
  /** Requests that were sent and never answered. */
  readonly broken: number;
  readonly answered: number;
  /** ms, of the answers that were a success. */
  readonly p99: number;
  readonly succeeded: number;
  readonly seconds: number;
}

/** Handshakes at a time, before anything is sent: it is requests that are too many. */
const OPENING = 8;

/** Sends as fast as it can and takes whatever is answered. */
export async function runStorm(storm: Storm): Promise<StormResult> {
  const statuses = new Map<number, number>();
  const samples = new Map<number, string>();
  const latencies: number[] = [];
  let [broken, answered] = [0, 0];
  const connections = Array.from({ length: storm.connections }, () => new HttpConnection(storm.target));
  for (let at = 0; at < connections.length; at += OPENING) {
    // With a request each: a server may end a connection that says nothing.
    await Promise.all(
      connections.slice(at, at + OPENING).map((connection, n) => connection.send(storm.next(at + n, 1))),
    );
  }
  const started = performance.now();
  const until = started + storm.seconds * 1000;
  await Promise.all(connections.map(drive));
  const sorted = Float64Array.from(latencies).sort();
  const seconds = (performance.now() - started) / 1000;
  return { statuses, samples, broken, answered, p99: quantile(sorted, 0.99), succeeded: sorted.length, seconds };

  async function drive(connection: HttpConnection, index: number): Promise<void> {
    try {
      for (let turn = 0; performance.now() < until; turn += 1) {
        const sent = performance.now();
        try {
          const { status, body } = await connection.send(storm.next(index, turn));
          answered += 1;
          statuses.set(status, (statuses.get(status) ?? 0) + 1);
          if (status < 300) latencies.push(performance.now() - sent);
          else if (!samples.has(status)) samples.set(status, body.toString('utf8').slice(0, SAMPLE));
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
