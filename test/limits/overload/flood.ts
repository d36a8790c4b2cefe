import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { Pool } from 'undici';

export interface FloodOptions {
  readonly api: string;
  readonly certsDir: string;
  readonly who: string;
  readonly connections: number;
  readonly requests: readonly { readonly method: 'GET' | 'POST'; readonly path: string; readonly body?: string }[];
}

export interface FloodCounts {
  /** Answers by status and, for refusals, code; `error` for connections that were cut. */
  readonly statuses: Record<string, number>;
  /** 429 and 503 without a Retry-After of 1 to 60 s. */
  readonly withoutRetryAfter: number;
}

/**
 * In a thread of its own, so that it does not slow down whoever measures: every connection asks again at once. Says
 * `connected` when all have had their first answer, and after a message from outside what was answered since.
 */
async function flood({ api, certsDir, who, connections, requests }: FloodOptions): Promise<void> {
  const pem = (name: string) => readFileSync(join(certsDir, name));
  const pool = new Pool(api, {
    connections,
    connect: { ca: pem('ca.crt'), cert: pem(`${who}.crt`), key: pem(`${who}.key`), timeout: 30_000 },
    headersTimeout: 30_000,
  });
  let statuses: Record<string, number> = {};
  let withoutRetryAfter = 0;
  let stopped = false;
  parentPort?.once('message', () => {
    stopped = true;
  });

  async function one(number: number): Promise<void> {
    const wanted = requests[number % requests.length];
    if (wanted === undefined) return;
    const { method, path, body = null } = wanted;
    const headers = body === null ? {} : { 'content-type': 'application/json' };
    try {
      const answer = await pool.request({ method, path, body, headers });
      const text = await answer.body.text();
      const { statusCode: status } = answer;
      const name = status < 400 ? `${status}` : `${status} ${/"code":"([A-Z_]+)"/.exec(text)?.[1]}`;
      statuses[name] = (statuses[name] ?? 0) + 1;
      const retryAfter = Number(answer.headers['retry-after']);
      if ((status === 429 || status === 503) && !(retryAfter >= 1 && retryAfter <= 60)) withoutRetryAfter += 1;
    } catch {
      statuses['error'] = (statuses['error'] ?? 0) + 1;
    }
  }
  let number = 0;
  const first = Array.from({ length: connections }, () => one(number++));
  await Promise.all(first);
  parentPort?.postMessage('connected');
  statuses = {};
  withoutRetryAfter = 0;
  const loop = async () => {
    while (!stopped) await one(number++);
  };
  await Promise.all(Array.from({ length: connections }, loop));
  await pool.destroy();
  const counts: FloodCounts = { statuses, withoutRetryAfter };
  parentPort?.postMessage(counts);
}

await flood(workerData);
