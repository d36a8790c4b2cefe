import { availableParallelism } from 'node:os';

import { PolicyEvaluationError } from '../errors.ts';
import type { PolicyEngine, PolicyOutcome, PolicyPackage } from './engine.ts';
import { estimateBytes, type LoadedPolicy, PolicyCache, strike } from './policy-cache.ts';
import { HardStop, type PoolWorker, startPoolWorker } from './pool-worker.ts';
import { inspectArtifact, readData } from './wasm-artifact.ts';

const DEFAULT_WORKERS = Math.min(2, availableParallelism());
const DEFAULT_LIMIT_MS = 100;
/** At 20,000 evaluations/s a full queue is 50 ms long. */
const DEFAULT_MAX_QUEUED = 1000;
const DEFAULT_MAX_BYTES = 256 * 1_048_576;
/** Ms for reading a policy's data (at most 4 MiB) in a worker. */
const LOAD_LIMIT_MS = 5000;
const MAX_INPUT_BYTES = 4 * 1_048_576;
/** Policies a replaced worker gets before it takes work; the others come when they are asked for. */
const PRELOADED = 32;
const RESTART_DELAY_MS = 100;

export interface WasmEngineOptions {
  readonly workers?: number;
  /** Ms one evaluation may take. */
  readonly limitMs?: number;
  readonly maxQueued?: number;
  /** Bound of the loaded policies' estimated memory, all workers together. */
  readonly maxBytes?: number;
}

interface Job {
  readonly policy: LoadedPolicy;
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
  const queue: Job[] = [];
  let isClosed = false;
  let evaluations = 0;
  let stopped = 0;
  const starting = new Set<Promise<void>>();
  for (const slot of slots) fill(slot);

  async function load(hash: string, wasm: Buffer): Promise<void> {
    if (isClosed) throw unavailable('the policy engine is closed');
    const policy = await readPolicy(hash, wasm, slots.length);
    // The first worker shows whether it runs at all; the others get it when they are free.
    await onWorker(policy, (slot) => give(slot, policy));
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
    signal?: AbortSignal,
  ): Promise<PolicyOutcome | undefined> {
    const policy = cache.use(hash);
    if (policy === undefined) throw unavailable('the policy is not loaded');
    const entrypoint = policy.facts.entrypoints.get(policyPackage);
    if (entrypoint === undefined) return undefined;
    if (policy.refusedUntil > performance.now()) throw failed('the policy ran too long again and again');
    const text = inputText(input);
    return onWorker(
      policy,
      async (slot, worker) => {
        await give(slot, policy);
        evaluations += 1;
        const reply = await worker.request({ type: 'evaluate', hash, entrypoint, input: text }, limitMs);
        policy.strikes = 0;
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
    policy: LoadedPolicy,
    work: (slot: Slot, worker: PoolWorker) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    if (isClosed) return Promise.reject(unavailable('the policy engine is closed'));
    if (queue.length >= maxQueued) return Promise.reject(unavailable('too many evaluations are waiting'));
    return new Promise((resolve, reject) => {
      const run = async (slot: Slot): Promise<void> => {
        try {
          if (slot.worker === undefined) throw unavailable('the worker is gone');
          resolve(await work(slot, slot.worker));
        } catch (error) {
          reject(error instanceof PolicyEvaluationError ? error : endWorker(slot, policy, error));
        }
      };
      queue.push({ policy, run, fail: reject, signal });
      dispatch();
    });
  }

  function dispatch(): void {
    for (const slot of slots) {
      while (!slot.isBusy && slot.worker !== undefined) {
        const job = nextJob();
        if (job === undefined) return;
        if (job.signal?.aborted === true) {
          job.fail(unavailable('nobody waits for the answer any more'));
          continue;
        }
        occupy(slot, job);
      }
    }
  }

  /** A policy that was stopped lately has one worker less, so that others always find one. */
  function nextJob(): Job | undefined {
    const share = Math.max(1, slots.length - 1);
    const at = queue.findIndex(({ policy }) => policy.strikes === 0 || policy.inFlight < share);
    return at < 0 ? undefined : queue.splice(at, 1)[0];
  }

  function occupy(slot: Slot, job: Job): void {
    slot.isBusy = true;
    job.policy.inFlight += 1;
    void job.run(slot).then(() => {
      job.policy.inFlight -= 1;
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
      await worker.request({ type: 'unload', hash }, LOAD_LIMIT_MS);
    }
    if (slot.loaded.has(policy.hash)) return;
    const reply = await worker.request({ type: 'load', hash: policy.hash, module: policy.module }, LOAD_LIMIT_MS);
    if (reply.type === 'failed') throw failed(reply.message);
    slot.loaded.add(policy.hash);
    // Removed meanwhile: the next request takes it out again.
    if (!cache.has(policy.hash)) slot.unloads.push(policy.hash);
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

  /** What a failed thread means for the caller; the slot gets another one. */
  function endWorker(slot: Slot, policy: LoadedPolicy, cause: unknown): PolicyEvaluationError {
    const { worker } = slot;
    slot.worker = undefined;
    slot.isBusy = true;
    slot.loaded.clear();
    slot.unloads.length = 0;
    if (cause instanceof HardStop) stopped += 1;
    strike(policy, performance.now());
    if (worker !== undefined) track(worker.end());
    fill(slot);
    return isClosed
      ? unavailable('the policy engine is closed')
      : failed(cause instanceof Error ? cause.message : 'the worker failed', cause);
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
      for (const job of queue.splice(0)) job.fail(unavailable('no worker thread can be started', cause));
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
      if (slot.worker === worker && policy.strikes === 0) await preloadQuietly(slot, policy);
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
    for (const job of queue.splice(0)) job.fail(unavailable('the policy engine is closed'));
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

async function readPolicy(hash: string, wasm: Buffer, workers: number): Promise<LoadedPolicy> {
  try {
    const module = await WebAssembly.compile(new Uint8Array(wasm));
    const facts = inspectArtifact(module);
    if (facts.missingBuiltins.length > 0) {
      throw new TypeError(`builtins not provided here: ${facts.missingBuiltins.join(', ')}`);
    }
    const bytes = estimateBytes(wasm.length, readData(module).length, workers);
    return { hash, module, facts, bytes, strikes: 0, refusedUntil: 0, inFlight: 0 };
  } catch (cause) {
    throw failed(cause instanceof Error ? cause.message : 'the policy cannot be loaded', cause);
  }
}

function inputText(input: unknown): string {
  const text: unknown = JSON.stringify(input);
  if (typeof text !== 'string') throw failed('the input has no JSON form');
  if (Buffer.byteLength(text) > MAX_INPUT_BYTES) throw failed('the input is too large');
  return text;
}

function unavailable(message: string, cause?: unknown): PolicyEvaluationError {
  return new PolicyEvaluationError('POLICY_UNAVAILABLE', message, cause);
}

function failed(message: string, cause?: unknown): PolicyEvaluationError {
  return new PolicyEvaluationError('POLICY_EVALUATION_FAILED', message, cause);
}
