import { parentPort, workerData } from 'node:worker_threads';

import type { Answer, Question, WorkerReply, WorkerRequest } from './messages.ts';
import { readOutcome } from './outcome.ts';
import { Progress } from './progress.ts';
import { readData } from './wasm-artifact.ts';
import { instantiatePolicy, type PolicyInstance } from './wasm-host.ts';

/** Linear memory never shrinks: an instance that grew by more than this is made anew. */
const MAX_GROWTH_BYTES = 16 * 1_048_576;
/** ms after which a batch begins nothing more: the next batch may be somebody else's. */
const TURN_MS = 2;

interface Resident {
  readonly module: WebAssembly.Module;
  /** Undefined after an evaluation that spoilt it; made anew, on nobody's time, before the next. */
  ready: { instance: PolicyInstance; baseBytes: number } | undefined;
}

const residents = new Map<string, Resident>();
const progress = new Progress(workerData);
const port = parentPort;
if (port === null) throw new Error('this file is the body of a worker thread');

port.on('message', (request: WorkerRequest) => port.postMessage(reply(request)));

function reply(request: WorkerRequest): WorkerReply {
  if (request.type === 'evaluate') return { type: 'answers', answers: evaluateTurn(request.questions) };
  try {
    if (request.type === 'unload') residents.delete(request.hash);
    else residents.set(request.hash, { module: request.module, ready: instantiate(request.module) });
    return { type: 'done' };
  } catch (error) {
    return { type: 'failed', message: messageOf(error) };
  }
}

function evaluateTurn(questions: readonly Question[]): Answer[] {
  const answers: Answer[] = [];
  const end = performance.now() + TURN_MS;
  for (const question of questions) {
    if (answers.length > 0 && performance.now() >= end) break;
    answers.push(answer(question, answers.length + 1));
    progress.pause();
  }
  return answers;
}

function answer(question: Question, number: number): Answer {
  try {
    return evaluate(question, number);
  } catch (error) {
    return { type: 'unready', message: messageOf(error) };
  }
}

function evaluate({ hash, entrypoint, input }: Question, number: number): Answer {
  const resident = residents.get(hash);
  if (resident === undefined) throw new Error('the policy is not loaded in this worker');
  const ready = resident.ready ?? instantiate(resident.module);
  // After an abort the heap is in no known state; the next evaluation must not see it.
  resident.ready = undefined;
  const { user, system } = process.threadCpuUsage();
  progress.begin(number, user + system);
  try {
    const result = ready.instance.evaluate(entrypoint, input);
    if (ready.instance.memoryBytes() <= ready.baseBytes + MAX_GROWTH_BYTES) resident.ready = ready;
    return { type: 'outcome', outcome: JSON.stringify(readOutcome(result)) };
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
