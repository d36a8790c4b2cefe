import { once } from 'node:events';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';

import type { Answer, Question, WorkerReply, WorkerRequest } from './messages.ts';
import { Progress } from './progress.ts';
import { PREPARE_LIMIT_MS, watchBatch } from './time-limit.ts';

// The built form has .js beside this file; a URL is not rewritten as an import is.
const WORKER_FILE = new URL(`./worker${extname(import.meta.url)}`, import.meta.url);
/** V8 heap of one worker in MiB; linear memory is bounded by the host of the wasm. */
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 96, maxYoungGenerationSizeMb: 16, stackSizeMb: 4 };

/** Thrown when a worker ended, by itself or because it was ended. */
export class WorkerEnded extends Error {
  /** Which question of a batch it was at, from 0; undefined when it was at none. */
  readonly at: number | undefined;
  /** It was ended because that evaluation took too long. */
  readonly tookTooLong: boolean;

  constructor(message: string, options: { at?: number | undefined; tookTooLong?: boolean; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.at = options.at;
    this.tookTooLong = options.tookTooLong ?? false;
  }
}

/** One thread. It takes one request at a time, and is gone after a request that rejected, always with WorkerEnded. */
export interface PoolWorker {
  /** Throws for what the worker could not do. */
  prepare(request: Extract<WorkerRequest, { type: 'load' | 'unload' }>): Promise<WorkerReply>;
  /** Answers in order, each within `limitMs` of CPU time; fewer than were asked when the turn was over. */
  evaluate(questions: readonly Question[], limitMs: number): Promise<readonly Answer[]>;
  end(): Promise<void>;
}

interface Pending {
  readonly resolve: (reply: WorkerReply) => void;
  readonly reject: (error: WorkerEnded) => void;
  readonly unwatch: () => void;
}

/** Starts a thread without environment, arguments or output of its own; resolves when it runs. */
export async function startPoolWorker(): Promise<PoolWorker> {
  const progress = new Progress();
  const worker = new Worker(WORKER_FILE, {
    workerData: progress.memory,
    env: {},
    argv: [],
    execArgv: [],
    resourceLimits: RESOURCE_LIMITS,
  });
  let pending: Pending | undefined;
  let isGone = false;

  function settle(act: (waiting: Pending) => void): void {
    const waiting = pending;
    pending = undefined;
    waiting?.unwatch();
    if (waiting !== undefined) act(waiting);
  }
  function ended(message: string, options: { tookTooLong?: boolean; cause?: unknown } = {}): WorkerEnded {
    isGone = true;
    const { running } = progress;
    return new WorkerEnded(message, { ...options, at: running === 0 ? undefined : running - 1 });
  }
  worker.on('message', (reply: WorkerReply) => settle(({ resolve }) => resolve(reply)));
  worker.on('error', (cause) => {
    const error = ended('the worker failed', { cause });
    settle(({ reject }) => reject(error));
  });
  worker.on('exit', () => {
    const error = ended('the worker ended');
    settle(({ reject }) => reject(error));
  });
  await once(worker, 'online');

  function request(message: WorkerRequest, limitMs: number): Promise<WorkerReply> {
    return new Promise((resolve, reject) => {
      if (isGone || pending !== undefined) {
        reject(new WorkerEnded('the worker cannot take a request'));
        return;
      }
      const unwatch = watchBatch(worker, progress, limitMs, (passed) => {
        const error =
          passed === 'evaluation'
            ? ended(`stopped after ${limitMs} ms`, { tookTooLong: true })
            : ended('the worker did nothing for too long');
        pending = undefined;
        const stopped = () => reject(error);
        worker.terminate().then(stopped, stopped);
      });
      pending = { resolve, reject, unwatch };
      worker.postMessage(message);
    });
  }

  return {
    prepare: (message) => request(message, PREPARE_LIMIT_MS),
    async evaluate(questions, limitMs) {
      const reply = await request({ type: 'evaluate', questions }, limitMs);
      if (reply.type !== 'answers') throw new Error('the worker answered something else');
      return reply.answers;
    },
    async end() {
      isGone = true;
      await worker.terminate();
    },
  };
}
