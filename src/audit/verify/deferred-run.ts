import type { EventClaims } from './event-check.ts';
import { type SeqRange, SeqRanges } from './seq-ranges.ts';

/**
 * The unsigned events of one chain and what signed events say of them. A cover counts only when it names exactly the run
 * of unsigned events right before it; events that are damaged or missing may be part of that run.
 */
export class DeferredRun {
  readonly #uncovered = new SeqRanges();
  /** The last event known to need no cover. Before the first event that is verified, nothing is known. */
  #settled: number;
  /** The first event after it known to need one. */
  #start: number | undefined;

  constructor(first: number) {
    this.#settled = first === 1 ? 0 : Number.NEGATIVE_INFINITY;
  }

  get uncovered(): readonly SeqRange[] {
    return this.#uncovered.ranges;
  }

  /** More unsigned events than are followed. */
  get dropped(): boolean {
    return this.#uncovered.dropped;
  }

  unsigned(seq: number): void {
    this.#uncovered.add(seq, seq);
    this.#start ??= seq;
  }

  /** An event with a signature of its own. False if it is a cover of anything but the run before it. */
  signed(seq: number, covers: EventClaims['covers']): boolean {
    const exact = covers !== undefined && this.#isRun(covers.from, covers.to, seq);
    if (exact) this.#uncovered.remove(covers.from, covers.to);
    this.#settled = seq;
    this.#start = undefined;
    return exact || covers === undefined;
  }

  #isRun(from: number, to: number, seq: number): boolean {
    return to === seq - 1 && this.#settled < from && from <= (this.#start ?? to);
  }
}
