import { parentPort } from 'node:worker_threads';

import type { WorkerMessage, WorkerReply, WorkerRequest } from './messages.ts';
import { readOutcome } from './outcome.ts';
import { readData } from './wasm-artifact.ts';
import { instantiatePolicy, type PolicyInstance } from './wasm-host.ts';

/** Linear memory never shrinks: an instance that grew by more than this is made anew. */
const MAX_GROWTH_BYTES = 16 * 1_048_576;

interface Resident {
  readonly module: WebAssembly.Module;
  /** Undefined after an evaluation that spoilt it; made anew, on nobody's time, before the next. */
  ready: { instance: PolicyInstance; baseBytes: number } | undefined;
}

const residents = new Map<string, Resident>();
const port = parentPort;
if (port === null) throw new Error('this file is the body of a worker thread');

port.on('message', (request: WorkerRequest) => tell(answer(request)));

function tell(message: WorkerMessage): void {
  port?.postMessage(message);
}

function answer(request: WorkerRequest): WorkerReply {
  try {
    switch (request.type) {
      case 'load':
        residents.set(request.hash, { module: request.module, ready: instantiate(request.module) });
        return { type: 'done' };
      case 'unload':
        residents.delete(request.hash);
        return { type: 'done' };
      case 'evaluate':
        return evaluate(request);
    }
  } catch (error) {
    return { type: request.type === 'evaluate' ? 'unready' : 'failed', message: messageOf(error) };
  }
}

function evaluate({ hash, entrypoint, input }: Extract<WorkerRequest, { type: 'evaluate' }>): WorkerReply {
  const resident = residents.get(hash);
  if (resident === undefined) throw new Error('the policy is not loaded in this worker');
  const ready = resident.ready ?? instantiate(resident.module);
  // After an abort the heap is in no known state; the next evaluation must not see it.
  resident.ready = undefined;
  const { user, system } = process.threadCpuUsage();
  tell({ type: 'started', cpu: user + system });
  try {
    const result = ready.instance.evaluate(entrypoint, input);
    if (ready.instance.memoryBytes() <= ready.baseBytes + MAX_GROWTH_BYTES) resident.ready = ready;
    return { type: 'done', outcome: JSON.stringify(readOutcome(result)) };
  } catch (error) {
    return { type: 'failed', message: messageOf(error) };
  }
}

function instantiate(module: WebAssembly.Module) {
  const instance = instantiatePolicy(module, readData(module));
  return { instance, baseBytes: instance.memoryBytes() };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'a value was thrown';
}
