/** Hard stops in a row after which a key is refused for a while, so that it cannot use up the workers. */
const MAX_STRIKES = 3;
const REFUSED_MS = 1000;
/** Ms after which a hard stop no longer counts. */
const STRIKE_LIFE_MS = 60_000;
/** The part of the queue one key may fill. */
const KEY_PART = 4;

interface Lane<Job> {
  readonly waiting: Job[];
  inFlight: number;
  strikes: number;
  struckAt: number;
}

/**
 * Jobs in a lane per key, served in turn. No key fills the queue, or has the last free worker while another waits. The
 * caller says which job started and ended. Times are ms of a monotonic clock.
 */
export class FairQueue<Job> {
  readonly #lanes = new Map<string, Lane<Job>>();
  readonly #maxQueued: number;
  readonly #share: number;
  #length = 0;

  constructor(maxQueued: number, workers: number) {
    this.#maxQueued = maxQueued;
    this.#share = Math.max(1, workers - 1);
  }

  get length(): number {
    return this.#length;
  }

  /** Puts a job last in its lane; when it is not taken, says what is full. */
  push(key: string, job: Job): 'all' | 'key' | undefined {
    if (this.#length >= this.#maxQueued) return 'all';
    const lane = this.#lane(key);
    if (lane.waiting.length >= Math.max(1, Math.floor(this.#maxQueued / KEY_PART))) return 'key';
    lane.waiting.push(job);
    this.#length += 1;
    return undefined;
  }

  /** The next job to start, counted as in flight until `ended`; undefined when none may. */
  next(): { key: string; job: Job } | undefined {
    return this.#take((lane) => lane.inFlight < this.#share) ?? this.#take((lane) => lane.strikes === 0);
  }

  /** Another job of the lane that `next` gave a job of, to go with it; undefined when its first does not fit. */
  alongside(key: string, fits: (job: Job) => boolean): Job | undefined {
    const waiting = this.#lanes.get(key)?.waiting ?? [];
    const [first] = waiting;
    if (first === undefined || !fits(first)) return undefined;
    this.#length -= 1;
    return waiting.shift();
  }

  /** How many wait in the lane. */
  waiting(key: string): number {
    return this.#lanes.get(key)?.waiting.length ?? 0;
  }

  /** Puts jobs that were taken and not begun first in their lane, also in a full queue. */
  putBack(key: string, jobs: readonly Job[]): void {
    this.#lane(key).waiting.unshift(...jobs);
    this.#length += jobs.length;
  }

  ended(key: string): void {
    const lane = this.#lanes.get(key);
    if (lane === undefined) return;
    lane.inFlight -= 1;
    this.#forgetIdle(key, lane);
  }

  /** Counts a hard stop; until `answered` the key never has all workers. */
  strike(key: string, now: number): void {
    for (const [other, lane] of this.#lanes) {
      if (lane.struckAt + STRIKE_LIFE_MS > now) continue;
      lane.strikes = 0;
      this.#forgetIdle(other, lane);
    }
    const lane = this.#lane(key);
    lane.strikes += 1;
    lane.struckAt = now;
  }

  answered(key: string): void {
    const lane = this.#lanes.get(key);
    if (lane !== undefined) lane.strikes = 0;
  }

  isRefused(key: string, now: number): boolean {
    const lane = this.#lanes.get(key);
    return lane !== undefined && lane.strikes >= MAX_STRIKES && now < lane.struckAt + REFUSED_MS;
  }

  /** Takes out all that wait. */
  drain(): Job[] {
    const jobs = [...this.#lanes.values()].flatMap(({ waiting }) => waiting.splice(0));
    for (const [key, lane] of this.#lanes) this.#forgetIdle(key, lane);
    this.#length = 0;
    return jobs;
  }

  #take(may: (lane: Lane<Job>) => boolean): { key: string; job: Job } | undefined {
    for (const [key, lane] of this.#lanes) {
      if (lane.waiting.length === 0 || !may(lane)) continue;
      const job = lane.waiting.shift();
      if (job === undefined) continue;
      this.#length -= 1;
      lane.inFlight += 1;
      // To the end of the round.
      this.#lanes.delete(key);
      this.#lanes.set(key, lane);
      return { key, job };
    }
    return undefined;
  }

  #lane(key: string): Lane<Job> {
    const lane = this.#lanes.get(key) ?? { waiting: [], inFlight: 0, strikes: 0, struckAt: Number.NEGATIVE_INFINITY };
    this.#lanes.set(key, lane);
    return lane;
  }

  #forgetIdle(key: string, lane: Lane<Job>): void {
    if (lane.waiting.length === 0 && lane.inFlight === 0 && lane.strikes === 0) this.#lanes.delete(key);
  }
}
