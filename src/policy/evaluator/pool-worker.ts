import { once } from 'node:events';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';

import type { WorkerMessage, WorkerReply, WorkerRequest } from './messages.ts';

// The built form has .js beside this file; a URL is not rewritten as an import is.
const WORKER_FILE = new URL(`./worker${extname(import.meta.url)}`, import.meta.url);
/** V8 heap of one worker in MiB; linear memory is bounded by the host of the wasm. */
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 96, maxYoungGenerationSizeMb: 16, stackSizeMb: 4 };

/** For what comes before an evaluation: reading a policy's data (at most 4 MiB), making an instance, getting a core. */
const PREPARE_LIMIT_MS = 5000;

/**
 * The limit of an evaluation is its own CPU time: on a busy machine it may take this many times as long by the wall
 * clock, or an innocent input would be told that its policy failed.
 */
const PATIENCE = 10;
/** ms between two looks at a thread that does not get its core. */
const MIN_RECHECK_MS = 5;

/** Thrown when a worker was ended because the evaluation took too long. */
export class HardStop extends Error {}

/** Thrown when a worker ended, by itself or because it did nothing; `duringEvaluation` says what it was at. */
export class WorkerEnded extends Error {
  readonly duringEvaluation: boolean;

  constructor(message: string, duringEvaluation: boolean, cause?: unknown) {
    super(message, { cause });
    this.duringEvaluation = duringEvaluation;
  }
}

/** One thread. It takes one request at a time, and is gone after a request that rejected with anything thrown here. */
export interface PoolWorker {
  /** The reply; rejects with HardStop when the evaluation itself runs for `limitMs`, with WorkerEnded when the thread died. */
  request(message: WorkerRequest, limitMs?: number): Promise<WorkerReply>;
  end(): Promise<void>;
}

interface Pending {
  /** With the thread's CPU time at that moment, in microseconds. */
  readonly started: (cpu: number) => void;
  readonly resolve: (reply: WorkerReply) => void;
  readonly end: (message: string, cause?: unknown) => void;
}

/** Starts a thread without environment, arguments or output of its own; resolves when it runs. */
export async function startPoolWorker(): Promise<PoolWorker> {
  const worker = new Worker(WORKER_FILE, { env: {}, argv: [], execArgv: [], resourceLimits: RESOURCE_LIMITS });
  let pending: Pending | undefined;
  let isGone = false;

  function settle(act: (waiting: Pending) => void): void {
    const waiting = pending;
    pending = undefined;
    if (waiting !== undefined) act(waiting);
  }
  worker.on('message', (message: WorkerMessage) => {
    if (message.type === 'started') pending?.started(message.cpu);
    else settle(({ resolve }) => resolve(message));
  });
  worker.on('error', (cause) => {
    isGone = true;
    settle(({ end }) => end('the worker failed', cause));
  });
  worker.on('exit', () => {
    isGone = true;
    settle(({ end }) => end('the worker ended'));
  });
  await once(worker, 'online');

  function request(message: WorkerRequest, limitMs = PREPARE_LIMIT_MS): Promise<WorkerReply> {
    return new Promise((resolve, reject) => {
      if (isGone || pending !== undefined) {
        reject(new WorkerEnded('the worker cannot take a request', false));
        return;
      }
      let isStarted = false;
      let cpuAtStart = 0;
      let lastCall = 0;
      let timer = stopAfter(PREPARE_LIMIT_MS, () => new WorkerEnded('the worker did nothing for too long', false));
      function stopAfter(ms: number, error: () => Error): NodeJS.Timeout {
        // A timer that is late because this thread was busy fires before the message that is waiting: let it be read.
        const own = setTimeout(() => setImmediate(() => void stopUnlessNews(own, error)), ms);
        return own;
      }
      async function stopUnlessNews(own: NodeJS.Timeout, error: () => Error): Promise<void> {
        if (pending !== mine || timer !== own) return;
        if (isStarted && performance.now() < lastCall) {
          const left = limitMs - (await cpuMsSince(worker, cpuAtStart));
          if (pending !== mine || timer !== own) return;
          if (left > 0) {
            timer = stopAfter(Math.max(left, MIN_RECHECK_MS), error);
            return;
          }
        }
        pending = undefined;
        isGone = true;
        const stopped = () => reject(error());
        worker.terminate().then(stopped, stopped);
      }
      const mine: Pending = {
        started: (cpu) => {
          isStarted = true;
          cpuAtStart = cpu;
          lastCall = performance.now() + limitMs * PATIENCE;
          clearTimeout(timer);
          timer = stopAfter(limitMs, () => new HardStop(`stopped after ${limitMs} ms`));
        },
        resolve: (reply) => {
          clearTimeout(timer);
          resolve(reply);
        },
        end: (why, cause) => {
          clearTimeout(timer);
          reject(new WorkerEnded(why, isStarted, cause));
        },
      };
      pending = mine;
      worker.postMessage(message);
    });
  }

  async function end(): Promise<void> {
    isGone = true;
    await worker.terminate();
  }

  return { request, end };
}

/** ms of CPU the thread has used since it had used `cpu` microseconds; a thread that is gone has used all it could. */
async function cpuMsSince(worker: Worker, cpu: number): Promise<number> {
  try {
    const { user, system } = await worker.cpuUsage();
    return (user + system - cpu) / 1000;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
