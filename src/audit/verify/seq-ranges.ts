/** First and last, both included. */
export type SeqRange = readonly [from: number, to: number];

/** Ranges kept of one chain; an attacker who makes more holes than this has been seen already. */
const MAX_RANGES = 10_000;

/** A small set of sequence numbers as ranges, added in any order. */
export class SeqRanges {
  #ranges: SeqRange[] = [];
  #dropped = false;

  get ranges(): readonly SeqRange[] {
    return this.#ranges;
  }

  /** More was added than is kept: the ranges are not all. */
  get dropped(): boolean {
    return this.#dropped;
  }

  has(seq: number): boolean {
    return this.#ranges.some(([from, to]) => from <= seq && seq <= to);
  }

  /** Grows the last range when it ends right before, so that a long run costs nothing. */
  add(from: number, to: number): void {
    const last = this.#ranges.at(-1);
    if (last !== undefined && last[1] + 1 === from) this.#ranges[this.#ranges.length - 1] = [last[0], to];
    else if (this.#ranges.length < MAX_RANGES) this.#ranges.push([from, to]);
    else this.#dropped = true;
  }

  remove(from: number, to: number): void {
    this.#ranges = this.#ranges.flatMap((range) => subtract(range, [from, to]));
  }
}

/** What is left of a range, in order. */
function subtract([from, to]: SeqRange, [cutFrom, cutTo]: SeqRange): SeqRange[] {
  if (cutTo < from || to < cutFrom) return [[from, to]];
  const left: SeqRange[] = [];
  if (from < cutFrom) left.push([from, cutFrom - 1]);
  if (cutTo < to) left.push([cutTo + 1, to]);
  return left;
}
