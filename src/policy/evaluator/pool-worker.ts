import { once } from 'node:events';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';

import type { WorkerReply, WorkerRequest } from './messages.ts';

// The built form has .js beside this file; a URL is not rewritten as an import is.
const WORKER_FILE = new URL(`./worker${extname(import.meta.url)}`, import.meta.url);
/** V8 heap of one worker in MiB; linear memory is bounded by the host of the wasm. */
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 96, maxYoungGenerationSizeMb: 16, stackSizeMb: 4 };

/** Thrown when a worker was ended for taking too long. */
export class HardStop extends Error {}

/** Thrown when a worker ended by itself. */
export class WorkerEnded extends Error {}

/** One thread. It takes one request at a time, and is gone after a request that rejected with anything thrown here. */
export interface PoolWorker {
  /** The reply; rejects with HardStop after `limitMs`, with WorkerEnded when the thread died. */
  request(message: WorkerRequest, limitMs: number): Promise<WorkerReply>;
  end(): Promise<void>;
}

/** Starts a thread without environment, arguments or output of its own; resolves when it runs. */
export async function startPoolWorker(): Promise<PoolWorker> {
  const worker = new Worker(WORKER_FILE, { env: {}, argv: [], execArgv: [], resourceLimits: RESOURCE_LIMITS });
  let pending: { resolve: (reply: WorkerReply) => void; reject: (error: Error) => void } | undefined;
  let isGone = false;

  function settle(act: (waiting: NonNullable<typeof pending>) => void): void {
    const waiting = pending;
    pending = undefined;
    if (waiting !== undefined) act(waiting);
  }
  worker.on('message', (reply: WorkerReply) => settle(({ resolve }) => resolve(reply)));
  worker.on('error', (cause) => {
    isGone = true;
    settle(({ reject }) => reject(new WorkerEnded('the worker failed', { cause })));
  });
  worker.on('exit', () => {
    isGone = true;
    settle(({ reject }) => reject(new WorkerEnded('the worker ended')));
  });
  await once(worker, 'online');

  function request(message: WorkerRequest, limitMs: number): Promise<WorkerReply> {
    return new Promise((resolve, reject) => {
      if (isGone || pending !== undefined) {
        reject(new WorkerEnded('the worker cannot take a request'));
        return;
      }
      const timer = setTimeout(() => {
        // A timer that is late because this thread was busy fires before the reply that is waiting: let it be read.
        setImmediate(() => settle(stop));
      }, limitMs);
      const stop = () => {
        isGone = true;
        worker.terminate().then(
          () => reject(new HardStop(`stopped after ${limitMs} ms`)),
          (cause) => reject(new HardStop(`stopped after ${limitMs} ms`, { cause })),
        );
      };
      pending = {
        resolve: (reply) => {
          clearTimeout(timer);
          resolve(reply);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      };
      worker.postMessage(message);
    });
  }

  async function end(): Promise<void> {
    isGone = true;
    await worker.terminate();
  }

  return { request, end };
}
