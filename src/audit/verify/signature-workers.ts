import { Worker } from 'node:worker_threads';

import { VerifyError } from './errors.ts';
import type { SignerEntry } from './registry.ts';
import type { SignatureVerdict } from './signature.ts';
import type { SignatureTask } from './signed-message.ts';

/** The built tree has .js files; a worker's URL is not rewritten by the compiler. */
const ENTRY = new URL(`./signature-worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url);
/** MiB. A verification leaves native memory to the collector; a small young generation makes it come by often. */
const LIMITS = { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 64 };

export interface SignatureWorkers {
  readonly size: number;
  /** Verdicts in the order of the tasks. Rejects when a worker died: nothing is verified by assumption. */
  judge(tasks: readonly SignatureTask[]): Promise<readonly SignatureVerdict[]>;
  close(): Promise<void>;
}

interface Waiting {
  resolve(verdicts: readonly SignatureVerdict[]): void;
  reject(error: unknown): void;
}

interface Lane {
  readonly worker: Worker;
  readonly waiting: Waiting[];
  failure: VerifyError | undefined;
}

/** Threads that verify signatures. The caller bounds how many batches are under way. */
export function startSignatureWorkers(entries: readonly SignerEntry[], size: number): SignatureWorkers {
  const lanes = Array.from({ length: size }, () => startLane(entries));

  function judge(tasks: readonly SignatureTask[]): Promise<readonly SignatureVerdict[]> {
    if (tasks.length === 0) return Promise.resolve([]);
    const { promise, resolve, reject } = Promise.withResolvers<readonly SignatureVerdict[]>();
    const lane = lanes.reduce((best, next) => (next.waiting.length < best.waiting.length ? next : best));
    if (lane.failure !== undefined) return Promise.reject(lane.failure);
    lane.waiting.push({ resolve, reject });
    lane.worker.postMessage(tasks);
    return promise;
  }

  async function close(): Promise<void> {
    await Promise.all(lanes.map(({ worker }) => worker.terminate()));
  }

  return { size, judge, close };
}

function startLane(entries: readonly SignerEntry[]): Lane {
  const worker = new Worker(ENTRY, { workerData: entries, resourceLimits: LIMITS });
  const lane: Lane = { worker, waiting: [], failure: undefined };
  const fail = (cause: unknown) => {
    lane.failure = new VerifyError('UNREADABLE', 'a signature worker ended early', cause);
    for (const waiting of lane.waiting.splice(0)) waiting.reject(lane.failure);
  };
  worker.on('message', (verdicts: readonly SignatureVerdict[]) => lane.waiting.shift()?.resolve(verdicts));
  worker.on('error', fail);
  worker.on('exit', fail);
  return lane;
}
