import { availableParallelism } from 'node:os';

import { PolicyEvaluationError } from '../errors.ts';
import type { EvaluateOptions, PolicyEngine, PolicyOutcome, PolicyPackage } from './engine.ts';
import { FairQueue } from './fair-queue.ts';
import type { Answer } from './messages.ts';
import { failed, unavailable } from './no-answer.ts';
import { type LoadedPolicy, PolicyCache } from './policy-cache.ts';
import { WorkerEnded } from './pool-worker.ts';
import { readPolicy } from './read-policy.ts';
import { type Slot, WorkerSlots } from './worker-slots.ts';

const DEFAULT_WORKERS = Math.min(2, availableParallelism());
const DEFAULT_LIMIT_MS = 100;
/** At 20,000 evaluations/s a full queue is 50 ms long. */
const DEFAULT_MAX_QUEUED = 1000;
const DEFAULT_MAX_BYTES = 256 * 1_048_576;
const MAX_INPUT_BYTES = 4 * 1_048_576;
/** Evaluations in one message to a worker: a message costs both threads about as much as an evaluation. */
const MAX_BATCH = 16;

export interface WasmEngineOptions {
  readonly workers?: number;
  /** Ms one evaluation may run in its worker; what it waits for does not count. */
  readonly limitMs?: number;
  readonly maxQueued?: number;
  /** Bound of the loaded policies' estimated memory, all workers together. */
  readonly maxBytes?: number;
}

interface Job {
  readonly policy: LoadedPolicy;
  /** Absent: the policy is to be tried in a worker, which has time of its own. */
  readonly question?: { readonly entrypoint: number; readonly input: string };
  readonly signal: AbortSignal | undefined;
  readonly resolve: (outcome: PolicyOutcome | undefined) => void;
  readonly reject: (error: PolicyEvaluationError) => void;
}

/**
 * Evaluates in worker threads, a few evaluations of one key in a turn: one that runs too long costs its worker, which is
 * replaced, and nobody else anything but time. The workers start at once; `close` ends them.
 */
export function createWasmEngine(options: WasmEngineOptions = {}): PolicyEngine {
  const { limitMs = DEFAULT_LIMIT_MS, maxQueued = DEFAULT_MAX_QUEUED, workers = DEFAULT_WORKERS } = options;
  const cache = new PolicyCache(options.maxBytes ?? DEFAULT_MAX_BYTES);
  const queue = new FairQueue<Job>(maxQueued, workers);
  let isClosed = false;
  let isDispatchDue = false;
  let evaluations = 0;
  let stopped = 0;
  const slots = new WorkerSlots(workers, cache, {
    onFree: dispatchSoon,
    onNoThread(cause) {
      for (const job of queue.drain()) job.reject(unavailable('no worker thread can be started', cause));
    },
  });

  async function load(hash: string, wasm: Buffer): Promise<void> {
    if (isClosed) throw closed();
    const policy = await readPolicy(hash, wasm, workers);
    // The first worker shows whether it runs at all; the others get it when they are free.
    await enqueue(policyKey(hash), { policy, signal: undefined });
    if (isClosed) throw closed();
    for (const old of cache.add(policy)) slots.forget(old.hash);
    await slots.spread(policy);
  }

  async function evaluate(
    hash: string,
    policyPackage: PolicyPackage,
    input: unknown,
    { workspaceId, signal }: EvaluateOptions = {},
  ): Promise<PolicyOutcome | undefined> {
    const policy = cache.use(hash);
    if (policy === undefined) throw unavailable('the policy is not loaded');
    const entrypoint = policy.facts.entrypoints.get(policyPackage);
    if (entrypoint === undefined) return undefined;
    const key = workspaceId === undefined ? policyKey(hash) : `workspace ${workspaceId}`;
    if (queue.isRefused(key, performance.now())) throw unavailable('evaluations ran too long again and again');
    return enqueue(key, { policy, question: { entrypoint, input: inputText(input) }, signal });
  }

  function enqueue(key: string, job: Omit<Job, 'resolve' | 'reject'>): Promise<PolicyOutcome | undefined> {
    if (isClosed) return Promise.reject(closed());
    return new Promise((resolve, reject) => {
      const full = queue.push(key, { ...job, resolve, reject });
      if (full === undefined) dispatchSoon();
      else reject(unavailable(`too many ${full === 'key' ? 'of these ' : ''}evaluations are waiting`));
    });
  }

  /** After everything that is under way: what is asked together goes together. */
  function dispatchSoon(): void {
    if (isDispatchDue || isClosed) return;
    isDispatchDue = true;
    setImmediate(() => {
      isDispatchDue = false;
      dispatch();
    });
  }

  function dispatch(): void {
    for (let free = slots.free(); free.length > 0; free = slots.free()) {
      const next = queue.next();
      const slot = free[0];
      if (next === undefined || slot === undefined) return;
      const { key, job } = next;
      const wanted = Math.ceil((queue.waiting(key) + 1) / free.length);
      const jobs = takeBatch(key, job, Math.min(wanted, MAX_BATCH));
      void slots.occupy(slot, async () => {
        await (job.question === undefined ? tryPolicy(slot, key, job) : evaluateBatch(slot, key, jobs));
        queue.ended(key);
      });
    }
  }

  /** `first` and those behind it that the same message can ask: of one key, so nobody pays for another's neighbour. */
  function takeBatch(key: string, first: Job, size: number): Job[] {
    const jobs = [first];
    const fits = ({ policy, question }: Job) => policy === first.policy && question !== undefined;
    while (first.question !== undefined && jobs.length < size) {
      const job = queue.alongside(key, fits);
      if (job === undefined) break;
      jobs.push(job);
    }
    return jobs;
  }

  async function tryPolicy(slot: Slot, key: string, job: Job): Promise<void> {
    try {
      await slots.give(slot, job.policy);
      job.resolve(undefined);
    } catch (error) {
      if (!(error instanceof PolicyEvaluationError)) slots.replace(slot, job.policy, error);
      job.reject(error instanceof PolicyEvaluationError ? error : lost(key, error));
    }
  }

  async function evaluateBatch(slot: Slot, key: string, batch: readonly Job[]): Promise<void> {
    const jobs = batch.filter(isAwaited);
    const [first] = jobs;
    if (first === undefined) return;
    const questions = jobs.flatMap(({ policy, question }) =>
      question === undefined ? [] : [{ hash: policy.hash, ...question }],
    );
    try {
      const worker = await slots.give(slot, first.policy);
      const answers = await worker.evaluate(questions, limitMs);
      for (const [i, answer] of answers.entries()) settle(key, jobs[i], answer);
      takeAgain(key, jobs.slice(answers.length));
    } catch (error) {
      if (error instanceof PolicyEvaluationError) {
        // It ran before: that it cannot now is no answer to anybody's input.
        for (const job of jobs) job.reject(unavailable(error.message, error));
        return;
      }
      slots.replace(slot, first.policy, error);
      const reason = lost(key, error);
      const at = error instanceof WorkerEnded ? error.at : undefined;
      for (const job of at === undefined ? jobs : jobs.slice(at, at + 1)) job.reject(reason);
      // What was asked with the one it ended at is not to blame, and asked again.
      if (at !== undefined) takeAgain(key, jobs.toSpliced(at, 1));
    }
  }

  function settle(key: string, job: Job | undefined, answer: Answer): void {
    evaluations += 1;
    if (answer.type === 'unready') {
      job?.reject(unavailable(answer.message));
      return;
    }
    queue.answered(key);
    if (answer.type === 'outcome') job?.resolve(JSON.parse(answer.outcome));
    else job?.reject(failed(answer.message));
  }

  function takeAgain(key: string, jobs: readonly Job[]): void {
    if (isClosed) for (const job of jobs) job.reject(closed());
    else queue.putBack(key, jobs);
  }

  /** What the end of a worker means for the one it ended at; it counts against the key when that was its doing. */
  function lost(key: string, cause: unknown): PolicyEvaluationError {
    const ended = cause instanceof WorkerEnded ? cause : undefined;
    const isOwnDoing = ended?.at !== undefined;
    if (ended?.tookTooLong === true) stopped += 1;
    if (isOwnDoing) queue.strike(key, performance.now());
    if (isClosed) return closed();
    const message = cause instanceof Error ? cause.message : 'the worker failed';
    return isOwnDoing ? failed(message, cause) : unavailable(message, cause);
  }

  async function close(): Promise<void> {
    isClosed = true;
    for (const job of queue.drain()) job.reject(closed());
    await slots.close();
  }

  return {
    has: (hash) => cache.has(hash),
    packages: (hash) => [...(cache.peek(hash)?.facts.entrypoints.keys() ?? [])],
    load,
    evaluate,
    unload: (hash) => {
      if (cache.remove(hash) !== undefined) slots.forget(hash);
    },
    stats: () => ({
      workers: slots.running,
      loaded: cache.size,
      bytes: cache.bytes,
      queued: queue.length,
      evaluations,
      stopped,
    }),
    close,
  };
}

function isAwaited({ signal, reject }: Job): boolean {
  if (signal?.aborted !== true) return true;
  reject(unavailable('nobody waits for the answer any more'));
  return false;
}

function closed(): PolicyEvaluationError {
  return unavailable('the policy engine is closed');
}

function policyKey(hash: string): string {
  return `policy ${hash}`;
}

function inputText(input: unknown): string {
  const text: unknown = JSON.stringify(input);
  if (typeof text !== 'string') throw failed('the input has no JSON form');
  if (Buffer.byteLength(text) > MAX_INPUT_BYTES) throw failed('the input is too large');
  return text;
}
