import { PolicyEvaluationError } from '../errors.ts';
import { failed, unavailable } from './no-answer.ts';
import type { LoadedPolicy, PolicyCache } from './policy-cache.ts';
import { type PoolWorker, startPoolWorker, WorkerEnded } from './pool-worker.ts';

/** Policies a replaced worker gets before it takes work; the others come when they are asked for. */
const PRELOADED = 32;
const RESTART_DELAY_MS = 100;

/** The place of one worker. Whoever occupies it has the worker to itself. */
export interface Slot {
  worker: PoolWorker | undefined;
  /** Hashes the worker has. */
  readonly loaded: Set<string>;
  readonly unloads: string[];
  isBusy: boolean;
}

export interface SlotEvents {
  /** A slot has become free. */
  readonly onFree: () => void;
  /** No thread can be started at the moment. */
  readonly onNoThread: (cause: unknown) => void;
}

/** The places of the workers, and what each worker has; an ended worker is replaced. They start at once. */
export class WorkerSlots {
  readonly #slots: readonly Slot[];
  readonly #cache: PolicyCache;
  readonly #events: SlotEvents;
  readonly #underWay = new Set<Promise<void>>();
  #isClosed = false;

  constructor(count: number, cache: PolicyCache, events: SlotEvents) {
    this.#cache = cache;
    this.#events = events;
    this.#slots = Array.from({ length: count }, () => ({
      worker: undefined,
      loaded: new Set(),
      unloads: [],
      isBusy: true,
    }));
    for (const slot of this.#slots) this.#fill(slot);
  }

  get running(): number {
    return this.#slots.filter(({ worker }) => worker !== undefined).length;
  }

  /** Those that nobody occupies. */
  free(): Slot[] {
    return this.#slots.filter(({ worker, isBusy }) => worker !== undefined && !isBusy);
  }

  /** Runs `work` with the slot to itself; it must not reject. */
  async occupy(slot: Slot, work: () => Promise<void>): Promise<void> {
    slot.isBusy = true;
    await work();
    if (slot.worker !== undefined) slot.isBusy = false;
    this.#events.onFree();
  }

  /**
   * Gives the worker of an occupied slot a policy it does not have, and takes from it those pushed out. Rejects with
   * POLICY_EVALUATION_FAILED when it cannot be run, with WorkerEnded when the worker is gone: then the slot must be replaced.
   */
  async give(slot: Slot, policy: LoadedPolicy): Promise<PoolWorker> {
    const { worker } = slot;
    if (worker === undefined) throw unavailable('the worker is gone');
    for (const hash of slot.unloads.splice(0)) {
      if (this.#cache.has(hash) || !slot.loaded.delete(hash)) continue;
      await worker.prepare({ type: 'unload', hash });
    }
    if (slot.loaded.has(policy.hash)) return worker;
    const reply = await worker.prepare({ type: 'load', hash: policy.hash, module: policy.module });
    if (reply.type === 'failed') throw failed(reply.message);
    slot.loaded.add(policy.hash);
    // Removed meanwhile: the next request takes it out again.
    if (!this.#cache.has(policy.hash)) slot.unloads.push(policy.hash);
    return worker;
  }

  /** Gives the policy to every free worker that does not have it. */
  async spread(policy: LoadedPolicy): Promise<void> {
    const without = this.free().filter(({ loaded }) => !loaded.has(policy.hash));
    await Promise.all(without.map((slot) => this.occupy(slot, () => this.#giveQuietly(slot, policy))));
  }

  /** The policy was pushed out or removed. */
  forget(hash: string): void {
    for (const slot of this.#slots) slot.unloads.push(hash);
  }

  /** Ends the worker of an occupied slot that failed with `policy`; the slot gets another one. */
  replace(slot: Slot, policy: LoadedPolicy, cause: unknown): void {
    const { worker } = slot;
    slot.worker = undefined;
    slot.isBusy = true;
    slot.loaded.clear();
    slot.unloads.length = 0;
    // A stop is about one input; whatever else kills a worker may come from the policy itself.
    if (!(cause instanceof WorkerEnded && cause.tookTooLong)) policy.isSuspect = true;
    if (worker !== undefined) this.#track(worker.end());
    this.#fill(slot);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all(this.#slots.map((slot) => slot.worker?.end()));
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
    await Promise.all(this.#slots.map((slot) => slot.worker?.end()));
    for (const slot of this.#slots) slot.worker = undefined;
  }

  #fill(slot: Slot): void {
    if (!this.#isClosed) this.#track(this.#start(slot));
  }

  async #start(slot: Slot): Promise<void> {
    let worker: PoolWorker;
    try {
      worker = await startPoolWorker();
    } catch (cause) {
      this.#events.onNoThread(cause);
      await new Promise((resolve) => setTimeout(resolve, RESTART_DELAY_MS));
      this.#fill(slot);
      return;
    }
    if (this.#isClosed) {
      await worker.end();
      return;
    }
    slot.worker = worker;
    for (const policy of this.#cache.newest(PRELOADED)) {
      if (slot.worker === worker && !policy.isSuspect) await this.#giveQuietly(slot, policy);
    }
    if (slot.worker !== worker) return;
    slot.isBusy = false;
    this.#events.onFree();
  }

  async #giveQuietly(slot: Slot, policy: LoadedPolicy): Promise<void> {
    try {
      await this.give(slot, policy);
    } catch (error) {
      // It ran before and does not now: the evaluation that needs it will say so.
      if (!(error instanceof PolicyEvaluationError)) this.replace(slot, policy, error);
    }
  }

  #track(work: Promise<void>): void {
    const done = () => this.#underWay.delete(work);
    this.#underWay.add(work);
    void work.then(done, done);
  }
}
