// Engages a kill switch and locks a certificate out, again and again, in a thread of its own: neither may ever be shed.
import { setTimeout as delay } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';

import { HttpConnection, requestBytes, type Target } from './support/http-connection.ts';

/** ms between two rounds, and the longest that an answer may take. */
const EVERY_MS = 250;
const LIMIT_MS = 2000;
const REASON = { reason: 'bench' };

const target: Target = workerData.target;
const killSwitch = `/v1/workspaces/${workerData.workspaceId}/kill-switch`;
const connection = new HttpConnection(target);
let [probes, missed, slowestMs, over] = [0, 0, 0, false];
const samples: string[] = [];
parentPort?.once('message', () => {
  over = true;
});
for (let serial = 1; !over; serial += 1) {
  await probe('PUT', killSwitch, REASON, 200);
  await undo('DELETE', killSwitch);
  const lock = await probe('POST', '/v1/access/locks', { ...REASON, serial: `0badcafe${serial.toString(16)}` }, 201);
  if (typeof lock === 'string') await undo('DELETE', `/v1/access/locks/${lock}`);
  await delay(EVERY_MS);
}
connection.close();
parentPort?.postMessage({ probes, missed, slowestMs, samples });

/** The id of the lock, where it is one. */
async function probe(method: string, path: string, body: object, expected: number): Promise<unknown> {
  const started = performance.now();
  const { status, text } = await send(method, path, body);
  probes += 1;
  slowestMs = Math.max(slowestMs, performance.now() - started);
  if (status === expected) return JSON.parse(text).lockId;
  missed += 1;
  samples.push(`${method} ${path}: ${status} ${text.slice(0, 200)}`);
  return undefined;
}

/** Letting go is no brake: it waits for its turn like all else. */
async function undo(method: string, path: string): Promise<void> {
  for (let tries = 0; tries < 40; tries += 1) {
    const { status } = await send(method, path, REASON);
    if (status < 300 || status === 404 || status === 409) return;
    await delay(EVERY_MS);
  }
}

async function send(method: string, path: string, body: object): Promise<{ status: number; text: string }> {
  try {
    const answer = await Promise.race([
      connection.send(requestBytes(target, method, path, body)),
      delay(LIMIT_MS, undefined, { ref: false }),
    ]);
    if (answer !== undefined) return { status: answer.status, text: answer.body.toString('utf8') };
  } catch {
    // Told below, like an answer that did not come in time.
  }
  connection.close();
  return { status: 0, text: '' };
}
