import type { Lane } from '../http/lanes.ts';

/** Samples in a row that must be bad before anything is refused: one long garbage collection is none. */
const SUSTAINED = 3;
const STEP_UP = 0.15;
/** From the most to nothing takes 13 good samples. */
const STEP_DOWN = 0.075;
/** Something always gets through, so that the level is measured and not guessed. */
const MAX_LEVEL = 0.95;

export interface PressureOptions {
  /** Ms the event loop may be late. */
  readonly maxDelayMs: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** Requests of one lane in one window, by key. */
class Window {
  readonly counts = new Map<string, number>();
  total = 0;

  count(key: string): number {
    const before = this.counts.get(key) ?? 0;
    this.counts.set(key, before + 1);
    this.total += 1;
    return before;
  }
}

/**
 * Refuses a part of the requests while the event loop is late. The part grows and shrinks with each sample and stays as
 * it is between half the bound and the bound, so it neither flaps nor outlives its cause. Reads go first. Of what
 * may pass, each key has an equal share: who asks for less than that is never refused.
 */
export class Pressure {
  readonly #options: PressureOptions;
  #level = 0;
  #bad = 0;
  #now = { read: new Window(), write: new Window() };
  #before: { read: Window; write: Window } | undefined;

  constructor(options: PressureOptions) {
    this.#options = options;
  }

  /** 0: nothing is refused; at 0.95, most reads and writes. */
  get level(): number {
    return this.#level;
  }

  /** The event loop's lateness since the sample before. */
  sample(delayMs: number): void {
    const { maxDelayMs } = this.#options;
    if (delayMs > maxDelayMs) {
      this.#bad += 1;
      if (this.#bad >= SUSTAINED) this.#level = Math.min(MAX_LEVEL, this.#level + STEP_UP);
    } else {
      this.#bad = 0;
      if (delayMs < maxDelayMs / 2) this.#level = Math.max(0, this.#level - STEP_DOWN);
    }
    this.#before = this.#level > 0 ? this.#now : undefined;
    this.#now = { read: new Window(), write: new Window() };
  }

  refuses(lane: Lane, key: string): boolean {
    if (this.#level === 0 || lane === 'brake') return false;
    const passing = 1 - this.#refusedPart(lane);
    const mine = this.#now[lane].count(key);
    const before = this.#before?.[lane];
    // Nothing was counted yet.
    if (before === undefined || before.total === 0) return false;
    const share = (before.total * passing) / before.counts.size;
    return mine + this.#options.random() >= share;
  }

  #refusedPart(lane: 'read' | 'write'): number {
    // Reads twice as soon; writes only when that was not enough.
    const part = lane === 'read' ? 2 * this.#level : 2 * this.#level - 1;
    return Math.min(MAX_LEVEL, Math.max(0, part));
  }
}
