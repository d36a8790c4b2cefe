import { Worker } from 'node:worker_threads';

import { VerifyError, type VerifyErrorCode } from './errors.ts';
import type { VerifyReport } from './report.ts';
import type { OnProgress, VerificationRequest } from './verification.ts';

/** The built tree has .js files; a worker's URL is not rewritten by the compiler. */
const ENTRY = new URL(`./verification-entry${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url);
/** MiB. Left alone, the heap of a process that parses rows for minutes grows to hundreds, most of it garbage. */
const LIMITS = { maxYoungGenerationSizeMb: 8, maxOldGenerationSizeMb: 128 };

export type ThreadMessage =
  | { readonly events: number; readonly fraction: number }
  | { readonly report: VerifyReport }
  | { readonly failure: VerifyErrorCode; readonly message: string };

/**
 * runVerification in a thread of its own, because only a thread's heap can be given a limit from inside the process:
 * memory stays bounded at any length, and a log that would break the bound fails instead of passing. When `signal`
 * aborts, the thread is ended with all it started, and then the promise rejects with UNREADABLE.
 */
export function verifyInThread(
  request: VerificationRequest,
  onProgress: OnProgress,
  signal?: AbortSignal,
): Promise<VerifyReport> {
  const { promise, resolve, reject } = Promise.withResolvers<VerifyReport>();
  if (signal?.aborted === true) return Promise.reject(aborted(signal));
  const worker = new Worker(ENTRY, { workerData: request, resourceLimits: LIMITS });
  // Its end is awaited by the 'exit' below: no slot is free while the thread still runs.
  const end = () => void worker.terminate();
  signal?.addEventListener('abort', end, { once: true });
  worker.on('message', (message: ThreadMessage) => {
    if ('report' in message) resolve(message.report);
    else if ('failure' in message) reject(new VerifyError(message.failure, message.message));
    else onProgress(message.events, message.fraction);
  });
  worker.on('error', (cause) =>
    reject(new VerifyError('UNREADABLE', `verification broke off: ${cause.message}`, cause)),
  );
  worker.on('exit', () => {
    signal?.removeEventListener('abort', end);
    const early = 'verification ended without a result';
    reject(signal?.aborted === true ? aborted(signal) : new VerifyError('UNREADABLE', early));
  });
  return promise;
}

function aborted(signal: AbortSignal): VerifyError {
  return new VerifyError('UNREADABLE', 'verification was ended before it was done', signal.reason);
}
