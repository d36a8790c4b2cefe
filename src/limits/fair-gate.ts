export interface GateOptions {
  /** Requests let in at once, over all keys. */
  readonly capacity: number;
  /** Requests that may wait, over all keys. */
  readonly maxWaiting: number;
  /** Ms a request may wait. */
  readonly maxWaitMs: number;
}

export interface Waiter {
  /** Called when its turn has come: the request is in. */
  readonly enter: () => void;
  /** Called instead when it waited too long, or had to make room for a key that waits with less. */
  readonly refuse: () => void;
}

interface Turn {
  inFlight: number;
  readonly waiting: { readonly since: number; readonly waiter: Waiter }[];
}

/** The part of the capacity one key may have, so that requests that last do not keep every place from the other keys. */
const KEY_PART = 2;
/** Keys without a request that are not forgotten: most come back at once. */
const KEPT_TURNS = 1024;

/**
 * Lets so many requests in at once. The rest wait a short while and are let in key by key in turn, each key in its own
 * order. When too many wait, the key with the most of them loses its last.
 */
export class FairGate {
  readonly #options: GateOptions;
  #capacity: number;
  readonly #turns = new Map<string, Turn>();
  /** Keys with somebody waiting, the next one first. */
  readonly #round = new Map<string, Turn>();
  #inFlight = 0;
  #waiting = 0;

  constructor(options: GateOptions) {
    this.#options = options;
    this.#capacity = options.capacity;
  }

  get capacity(): number {
    return this.#capacity;
  }

  /** Nobody is thrown out when it shrinks. */
  set capacity(capacity: number) {
    this.#capacity = capacity;
    while (this.#waiting > 0 && this.#admitNext());
  }

  get #share(): number {
    return Math.max(1, Math.floor(this.#capacity / KEY_PART));
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** True when the request is in at once. Nobody is overtaken: whoever waits now waits for its own key's share. */
  enter(key: string): boolean {
    if (this.#inFlight >= this.#capacity) return false;
    const turn = this.#turns.get(key);
    if (turn === undefined) this.#turns.set(key, { inFlight: 1, waiting: [] });
    else if (turn.inFlight >= this.#share) return false;
    else turn.inFlight += 1;
    this.#inFlight += 1;
    return true;
  }

  /** Puts a request that was not let in last in its key's line; false when there is no room for this key. */
  wait(key: string, waiter: Waiter, now: number): boolean {
    const turn = this.#turns.get(key) ?? { inFlight: 0, waiting: [] };
    if (this.#waiting >= this.#options.maxWaiting && !this.#makeRoom(turn.waiting.length)) return false;
    this.#turns.set(key, turn);
    this.#round.set(key, turn);
    turn.waiting.push({ since: now, waiter });
    this.#waiting += 1;
    return true;
  }

  /** A request that was in is over: the next one takes its place. */
  leave(key: string): void {
    const turn = this.#turns.get(key);
    if (turn === undefined) return;
    turn.inFlight -= 1;
    this.#inFlight -= 1;
    this.#forgetIdle(key, turn);
    if (this.#waiting > 0) this.#admitNext();
  }

  /** Gives a request that is in to another key, whose it turned out to be; false, and nothing, when that key has its share. */
  move(from: string, to: string): boolean {
    if (from === to) return true;
    const [before, after] = [this.#turns.get(from), this.#turns.get(to)];
    if (before === undefined || before.inFlight === 0 || (after !== undefined && after.inFlight >= this.#share))
      return false;
    before.inFlight -= 1;
    this.#forgetIdle(from, before);
    if (after === undefined) this.#turns.set(to, { inFlight: 1, waiting: [] });
    else after.inFlight += 1;
    // Somebody may have waited for the share of the key that it left.
    if (this.#waiting > 0) this.#admitNext();
    return true;
  }

  /** A request that waits is no longer wanted. */
  cancel(key: string, waiter: Waiter): void {
    const turn = this.#round.get(key);
    const place = turn?.waiting.findIndex((entry) => entry.waiter === waiter) ?? -1;
    if (turn !== undefined && place !== -1) this.#take(key, turn, place);
  }

  /** Refuses all that wait since too long; to be called every now and then. */
  expire(now: number): void {
    for (const [key, turn] of this.#round) {
      for (let first = turn.waiting[0]; first !== undefined; first = turn.waiting[0]) {
        if (now - first.since < this.#options.maxWaitMs) break;
        this.#take(key, turn, 0)?.refuse();
      }
    }
  }

  #admitNext(): boolean {
    if (this.#inFlight >= this.#capacity) return false;
    for (const [key, turn] of this.#round) {
      if (turn.inFlight >= this.#share) continue;
      turn.inFlight += 1;
      this.#inFlight += 1;
      const waiter = this.#take(key, turn, 0);
      // To the end of the round.
      if (this.#round.delete(key)) this.#round.set(key, turn);
      waiter?.enter();
      return true;
    }
    return false;
  }

  /** Takes the last from the longest line when that leaves it no shorter than a line of `own` + 1. */
  #makeRoom(own: number): boolean {
    // A cheap no for whoever fills the lines.
    if ((own + 1) * this.#round.size > this.#options.maxWaiting) return false;
    let longest: { key: string; turn: Turn } | undefined;
    for (const [key, turn] of this.#round) {
      if (longest === undefined || turn.waiting.length > longest.turn.waiting.length) longest = { key, turn };
    }
    if (longest === undefined || longest.turn.waiting.length <= own + 1) return false;
    this.#take(longest.key, longest.turn, longest.turn.waiting.length - 1)?.refuse();
    return true;
  }

  #take(key: string, turn: Turn, place: number): Waiter | undefined {
    const [entry] = turn.waiting.splice(place, 1);
    if (entry === undefined) return undefined;
    this.#waiting -= 1;
    if (turn.waiting.length === 0) this.#round.delete(key);
    this.#forgetIdle(key, turn);
    return entry.waiter;
  }

  #forgetIdle(key: string, turn: Turn): void {
    if (this.#turns.size > KEPT_TURNS && turn.inFlight === 0 && turn.waiting.length === 0) this.#turns.delete(key);
  }
}
