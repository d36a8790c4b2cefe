// Asks livez and readyz again and again, in a thread of its own: a busy client must not look like a slow service.
import { setTimeout as delay } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';

/** ms between two looks, and the longest that an answer may take. */
const EVERY_MS = 200;
const LIMIT_MS = 1000;

let [probes, missed, slowestMs, over] = [0, 0, 0, false];
parentPort?.once('message', () => {
  over = true;
});
while (!over) {
  for (const path of ['livez', 'readyz']) await probe(path);
  await delay(EVERY_MS);
}
parentPort?.postMessage({ probes, missed, slowestMs });

async function probe(path: string): Promise<void> {
  const started = performance.now();
  const status = await statusOf(`${workerData.ops}/${path}`);
  probes += 1;
  // A service that is not ready says so with a 503: that is an answer.
  if (status !== 200 && !(path === 'readyz' && status === 503)) missed += 1;
  slowestMs = Math.max(slowestMs, performance.now() - started);
}

async function statusOf(url: string): Promise<number> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(LIMIT_MS) });
    await response.arrayBuffer();
    return response.status;
  } catch {
    return 0;
  }
}
