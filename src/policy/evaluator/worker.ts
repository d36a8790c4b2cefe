import { parentPort } from 'node:worker_threads';

import type { WorkerReply, WorkerRequest } from './messages.ts';
import { readOutcome } from './outcome.ts';
import { readData } from './wasm-artifact.ts';
import { instantiatePolicy, type PolicyInstance } from './wasm-host.ts';

/** Linear memory never shrinks: an instance that grew by more than this is made anew. */
const MAX_GROWTH_BYTES = 16 * 1_048_576;

interface Resident {
  readonly module: WebAssembly.Module;
  instance: PolicyInstance;
  baseBytes: number;
}

const residents = new Map<string, Resident>();
const port = parentPort;
if (port === null) throw new Error('this file is the body of a worker thread');

port.on('message', (request: WorkerRequest) => {
  port.postMessage(answer(request));
});

function answer(request: WorkerRequest): WorkerReply {
  try {
    switch (request.type) {
      case 'load':
        residents.set(request.hash, create(request.module));
        return { type: 'done' };
      case 'unload':
        residents.delete(request.hash);
        return { type: 'done' };
      case 'evaluate':
        return { type: 'done', outcome: JSON.stringify(evaluate(request)) };
    }
  } catch (error) {
    return { type: 'failed', message: error instanceof Error ? error.message : 'a value was thrown' };
  }
}

function evaluate({ hash, entrypoint, input }: Extract<WorkerRequest, { type: 'evaluate' }>) {
  const resident = residents.get(hash);
  if (resident === undefined) throw new Error('the policy is not loaded in this worker');
  let isIntact = false;
  try {
    const result = resident.instance.evaluate(entrypoint, input);
    isIntact = resident.instance.memoryBytes() <= resident.baseBytes + MAX_GROWTH_BYTES;
    return readOutcome(result);
  } finally {
    // After an abort the heap is in no known state; the next evaluation must not see it.
    if (!isIntact) residents.set(hash, create(resident.module));
  }
}

function create(module: WebAssembly.Module): Resident {
  const instance = instantiatePolicy(module, readData(module));
  return { module, instance, baseBytes: instance.memoryBytes() };
}
