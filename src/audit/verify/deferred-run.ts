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
  /** The last event that was told of; NaN: nothing is known of it. */
  #last: number;
  /** The unsigned events that end there; `exact`: the one before them is known to be none. */
  #tail: { readonly from: number; readonly exact: boolean } | undefined;

  constructor(first: number) {
    this.#settled = first === 1 ? 0 : Number.NEGATIVE_INFINITY;
    this.#last = first === 1 ? 0 : Number.NaN;
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
    if (seq !== this.#last + 1) this.#tail = { from: seq, exact: false };
    else this.#tail ??= { from: seq, exact: true };
    this.#last = seq;
  }

  /** An event with a signature of its own. False if it is a cover of anything but the run before it. */
  signed(seq: number, covers: EventClaims['covers']): boolean {
    const exact = covers !== undefined && this.#isRun(covers.from, covers.to, seq);
    if (exact) this.#uncovered.remove(covers.from, covers.to);
    this.#settled = seq;
    this.#start = undefined;
    this.#last = seq;
    this.#tail = undefined;
    return exact || covers === undefined;
  }

  /** The last event is not the only one at its seq. */
  lost(): void {
    this.#last = Number.NaN;
  }

  /** Whether this can be what the head at `seq` says of the first event that waits for its cover. */
  fits(seq: number, from: number | null): boolean {
    if (seq !== this.#last) return true;
    if (this.#tail === undefined || from === null) return this.#tail === undefined && from === null;
    return this.#tail.exact ? from === this.#tail.from : from >= 1 && from <= this.#tail.from;
  }

  #isRun(from: number, to: number, seq: number): boolean {
    return to === seq - 1 && this.#settled < from && from <= (this.#start ?? to);
  }
}
