import { parentPort, workerData } from 'node:worker_threads';

import type { SignerEntry } from './registry.ts';
import { createSignatureJudge } from './signature.ts';
import type { SignatureTask } from './signed-message.ts';

// The entry of a worker thread: one message in, one message out, in order.
const entries: readonly SignerEntry[] = workerData;
const judge = createSignatureJudge(entries);
parentPort?.on('message', (tasks: readonly SignatureTask[]) => {
  parentPort?.postMessage(tasks.map(judge));
});
