import { parentPort, workerData } from 'node:worker_threads';

import { VerifyError } from './errors.ts';
import { runVerification, type VerificationRequest } from './verification.ts';
import type { ThreadMessage } from './verification-thread.ts';

// The entry of the thread: progress, then exactly one report or failure. Any other error ends the thread.
const request: VerificationRequest = workerData;
const post = (message: ThreadMessage) => parentPort?.postMessage(message);
try {
  post({ report: await runVerification(request, (events, fraction) => post({ events, fraction })) });
} catch (error) {
  if (!(error instanceof VerifyError)) throw error;
  post({ failure: error.code, message: error.message });
}
