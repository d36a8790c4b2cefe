import { availableParallelism } from 'node:os';

import { PolicyEvaluationError } from '../errors.ts';
import type { EvaluateOptions, PolicyEngine, PolicyOutcome, PolicyPackage } from './engine.ts';
import { FairQueue } from './fair-queue.ts';
import { failed, unavailable } from './no-answer.ts';
import { type LoadedPolicy, PolicyCache } from './policy-cache.ts';
import { HardStop, type PoolWorker, startPoolWorker, WorkerEnded } from './pool-worker.ts';
import { readPolicy } from './read-policy.ts';

const DEFAULT_WORKERS = Math.min(2, availableParallelism());
const DEFAULT_LIMIT_MS = 100;
/** At 20,000 evaluations/s a full queue is 50 ms long. */
const DEFAULT_MAX_QUEUED = 1000;
const DEFAULT_MAX_BYTES = 256 * 1_048_576;
const MAX_INPUT_BYTES = 4 * 1_048_576;
/** Policies a replaced worker gets before it takes work; the others come when they are asked for. */
const PRELOADED = 32;
const RESTART_DELAY_MS = 100;

export interface WasmEngineOptions {
  readonly workers?: number;
  /** Ms one evaluation may run in its worker; what it waits for does not count. */
  readonly limitMs?: number;
  readonly maxQueued?: number;
  /** Bound of the loaded policies' estimated memory, all workers together. */
  readonly maxBytes?: number;
}

interface Job {
  readonly run: (slot: Slot) => Promise<void>;
  readonly fail: (error: PolicyEvaluationError) => void;
  readonly signal: AbortSignal | undefined;
}

interface Slot {
  worker: PoolWorker | undefined;
  /** Hashes the worker has. */
  readonly loaded: Set<string>;
  readonly unloads: string[];
  isBusy: boolean;
}

/**
 * Evaluates in worker threads, one evaluation at a time in each: one that runs too long costs its worker, which is
 * replaced, and nobody else anything. The workers start at once; `close` ends them.
 */
export function createWasmEngine(options: WasmEngineOptions = {}): PolicyEngine {
  const { limitMs = DEFAULT_LIMIT_MS, maxQueued = DEFAULT_MAX_QUEUED } = options;
  const cache = new PolicyCache(options.maxBytes ?? DEFAULT_MAX_BYTES);
  const slots: Slot[] = Array.from({ length: options.workers ?? DEFAULT_WORKERS }, () => ({
    worker: undefined,
    loaded: new Set(),
    unloads: [],
    isBusy: true,
  }));
  const queue = new FairQueue<Job>(maxQueued, slots.length);
  let isClosed = false;
  let evaluations = 0;
  let stopped = 0;
  const starting = new Set<Promise<void>>();
  for (const slot of slots) fill(slot);

  async function load(hash: string, wasm: Buffer): Promise<void> {
    if (isClosed) throw unavailable('the policy engine is closed');
    const policy = await readPolicy(hash, wasm, slots.length);
    // The first worker shows whether it runs at all; the others get it when they are free.
    await onWorker(policyKey(hash), policy, (slot) => give(slot, policy));
    if (isClosed) throw unavailable('the policy engine is closed');
    for (const old of cache.add(policy)) forget(old.hash);
    await Promise.all(
      slots
        .filter((slot) => slot.worker !== undefined && !slot.isBusy && !slot.loaded.has(hash))
        .map((slot) => preload(slot, policy)),
    );
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
    const text = inputText(input);
    return onWorker(
      key,
      policy,
      async (slot, worker) => {
        await giveAgain(slot, policy);
        evaluations += 1;
        const reply = await worker.request({ type: 'evaluate', hash, entrypoint, input: text }, limitMs);
        if (reply.type === 'unready') throw unavailable(reply.message);
        queue.answered(key);
        if (reply.type === 'failed' || reply.outcome === undefined) {
          throw failed(reply.type === 'failed' ? reply.message : 'the worker gave no outcome');
        }
        const outcome: PolicyOutcome = JSON.parse(reply.outcome);
        return outcome;
      },
      signal,
    );
  }

  /** Runs `work` with a worker to itself as soon as one is free. */
  function onWorker<T>(
    key: string,
    policy: LoadedPolicy,
    work: (slot: Slot, worker: PoolWorker) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    if (isClosed) return Promise.reject(unavailable('the policy engine is closed'));
    return new Promise((resolve, reject) => {
      const run = async (slot: Slot): Promise<void> => {
        try {
          if (slot.worker === undefined) throw unavailable('the worker is gone');
          resolve(await work(slot, slot.worker));
        } catch (error) {
          reject(error instanceof PolicyEvaluationError ? error : endWorker(slot, policy, error, key));
        }
      };
      const full = queue.push(key, { run, fail: reject, signal });
      if (full === undefined) dispatch();
      else
        reject(
          unavailable(
            full === 'key' ? 'too many of these evaluations are waiting' : 'too many evaluations are waiting',
          ),
        );
    });
  }

  function dispatch(): void {
    for (const slot of slots) {
      while (!slot.isBusy && slot.worker !== undefined) {
        const next = queue.next();
        if (next === undefined) return;
        if (next.job.signal?.aborted === true) {
          queue.ended(next.key);
          next.job.fail(unavailable('nobody waits for the answer any more'));
          continue;
        }
        occupy(slot, next.key, next.job);
      }
    }
  }

  function occupy(slot: Slot, key: string, job: Job): void {
    slot.isBusy = true;
    void job.run(slot).then(() => {
      queue.ended(key);
      if (slot.worker !== undefined) slot.isBusy = false;
      dispatch();
    });
  }

  /** Gives the worker of an occupied slot a policy it does not have, and takes from it those pushed out. */
  async function give(slot: Slot, policy: LoadedPolicy): Promise<void> {
    const { worker } = slot;
    if (worker === undefined) throw unavailable('the worker is gone');
    for (const hash of slot.unloads.splice(0)) {
      if (cache.has(hash) || !slot.loaded.delete(hash)) continue;
      await worker.request({ type: 'unload', hash });
    }
    if (slot.loaded.has(policy.hash)) return;
    const reply = await worker.request({ type: 'load', hash: policy.hash, module: policy.module });
    if (reply.type !== 'done') throw failed(reply.message);
    slot.loaded.add(policy.hash);
    // Removed meanwhile: the next request takes it out again.
    if (!cache.has(policy.hash)) slot.unloads.push(policy.hash);
  }

  /** The same with a policy that ran before: that it cannot now is no answer to anybody's input. */
  async function giveAgain(slot: Slot, policy: LoadedPolicy): Promise<void> {
    try {
      await give(slot, policy);
    } catch (error) {
      throw error instanceof PolicyEvaluationError ? unavailable(error.message, error) : error;
    }
  }

  async function preload(slot: Slot, policy: LoadedPolicy): Promise<void> {
    slot.isBusy = true;
    try {
      await give(slot, policy);
    } catch (error) {
      if (!(error instanceof PolicyEvaluationError)) endWorker(slot, policy, error);
    }
    if (slot.worker !== undefined) slot.isBusy = false;
    dispatch();
  }

  /** What a failed thread means for the caller, whose key it counts against; the slot gets another one. */
  function endWorker(slot: Slot, policy: LoadedPolicy, cause: unknown, key?: string): PolicyEvaluationError {
    const { worker } = slot;
    slot.worker = undefined;
    slot.isBusy = true;
    slot.loaded.clear();
    slot.unloads.length = 0;
    if (!(cause instanceof HardStop)) policy.isSuspect = true;
    const isOwnDoing = cause instanceof HardStop || (cause instanceof WorkerEnded && cause.duringEvaluation);
    if (cause instanceof HardStop) stopped += 1;
    if (key !== undefined && isOwnDoing) queue.strike(key, performance.now());
    if (worker !== undefined) track(worker.end());
    fill(slot);
    if (isClosed) return unavailable('the policy engine is closed');
    const message = cause instanceof Error ? cause.message : 'the worker failed';
    return isOwnDoing ? failed(message, cause) : unavailable(message, cause);
  }

  function fill(slot: Slot): void {
    if (!isClosed) track(startSlot(slot));
  }

  async function startSlot(slot: Slot): Promise<void> {
    let worker: PoolWorker;
    try {
      worker = await startPoolWorker();
    } catch (cause) {
      // No thread to be had: whoever waits is told, and the next try comes soon.
      for (const job of queue.drain()) job.fail(unavailable('no worker thread can be started', cause));
      await new Promise((resolve) => setTimeout(resolve, RESTART_DELAY_MS));
      fill(slot);
      return;
    }
    if (isClosed) {
      await worker.end();
      return;
    }
    slot.worker = worker;
    for (const policy of cache.newest(PRELOADED)) {
      if (slot.worker === worker && !policy.isSuspect) await preloadQuietly(slot, policy);
    }
    if (slot.worker !== worker) return;
    slot.isBusy = false;
    dispatch();
  }

  async function preloadQuietly(slot: Slot, policy: LoadedPolicy): Promise<void> {
    try {
      await give(slot, policy);
    } catch (error) {
      // It ran before and does not now: the evaluation that needs it will say so.
      if (!(error instanceof PolicyEvaluationError)) endWorker(slot, policy, error);
    }
  }

  function track(work: Promise<void>): void {
    const done = () => starting.delete(work);
    starting.add(work);
    void work.then(done, done);
  }

  function forget(hash: string): void {
    for (const slot of slots) slot.unloads.push(hash);
  }

  async function close(): Promise<void> {
    isClosed = true;
    for (const job of queue.drain()) job.fail(unavailable('the policy engine is closed'));
    await Promise.all(slots.map((slot) => slot.worker?.end()));
    while (starting.size > 0) await Promise.allSettled(starting);
    await Promise.all(slots.map((slot) => slot.worker?.end()));
  }

  return {
    has: (hash) => cache.has(hash),
    packages: (hash) => [...(cache.peek(hash)?.facts.entrypoints.keys() ?? [])],
    load,
    evaluate,
    unload: (hash) => {
      if (cache.remove(hash) !== undefined) forget(hash);
    },
    stats: () => ({
      workers: slots.filter(({ worker }) => worker !== undefined).length,
      loaded: cache.size,
      bytes: cache.bytes,
      queued: queue.length,
      evaluations,
      stopped,
    }),
    close,
  };
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
