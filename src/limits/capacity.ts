/** Never less than this part of the places, however slow it is: changes share commits, so too few at once are slower still. */
const LEAST_PART = 4;
const SHRINK = 0.85;
const GROW = 1.25;
/** One slow request counts no more than this many times the aim. */
const CLIP = 4;

export interface CapacityOptions {
  readonly most: number;
  /** Ms a request may hold its place on average. */
  readonly aimMs: number;
}

/**
 * How many places a lane has. When requests in a crowded lane take longer than the aim, more of them at once only makes
 * all of them slower, and whoever comes last waits for all: so there are fewer places, and the line in front of
 * them, where workspaces take turns, is longer.
 */
export class Capacity {
  readonly #options: CapacityOptions;
  readonly #least: number;
  #places: number;
  #totalMs = 0;
  #count = 0;

  constructor(options: CapacityOptions) {
    this.#options = options;
    this.#least = Math.max(1, options.most / LEAST_PART);
    this.#places = options.most;
  }

  get places(): number {
    return Math.floor(this.#places);
  }

  /** A request has given its place back after `ms`. */
  finished(ms: number): void {
    this.#totalMs += Math.min(ms, CLIP * this.#options.aimMs);
    this.#count += 1;
  }

  /** To be called every now and then; `crowded`: most places were taken. */
  adjust(crowded: boolean): void {
    const { aimMs, most } = this.#options;
    // A crowd of which nobody has finished is the slowest of all.
    const meanMs = this.#count === 0 ? Number.POSITIVE_INFINITY : this.#totalMs / this.#count;
    if (crowded && meanMs > aimMs) this.#places = Math.max(this.#least, this.#places * SHRINK);
    else if (!crowded || meanMs < aimMs / 2) this.#places = Math.min(most, this.#places * GROW);
    this.#totalMs = 0;
    this.#count = 0;
  }
}
