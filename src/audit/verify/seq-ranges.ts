/** First and last, both included. */
export type SeqRange = readonly [from: number, to: number];

/** Ranges kept of one chain; an attacker who makes more holes than this has been seen already. */
const MAX_RANGES = 10_000;

/** A small set of sequence numbers as ranges in ascending order. Finding one takes logarithmic time. */
export class SeqRanges {
  readonly #ranges: SeqRange[] = [];
  #dropped = false;

  get ranges(): readonly SeqRange[] {
    return this.#ranges;
  }

  /** More was added than is kept: the ranges are not all. */
  get dropped(): boolean {
    return this.#dropped;
  }

  /** How many numbers they hold. */
  get count(): number {
    return this.#ranges.reduce((sum, [from, to]) => sum + to - from + 1, 0);
  }

  has(seq: number): boolean {
    const range = this.#ranges[this.#firstEndingFrom(seq)];
    return range !== undefined && range[0] <= seq;
  }

  /** `from` is past all that was added so far. Grows the last range when it ends right before: a long run costs nothing. */
  add(from: number, to: number): void {
    const last = this.#ranges.at(-1);
    if (last !== undefined && last[1] + 1 === from) this.#ranges[this.#ranges.length - 1] = [last[0], to];
    else if (this.#ranges.length < MAX_RANGES) this.#ranges.push([from, to]);
    else this.#dropped = true;
  }

  remove(from: number, to: number): void {
    const start = this.#firstEndingFrom(from);
    let end = start;
    const left: SeqRange[] = [];
    for (let range = this.#ranges[end]; range !== undefined && range[0] <= to; range = this.#ranges[end]) {
      if (range[0] < from) left.push([range[0], from - 1]);
      if (to < range[1]) left.push([to + 1, range[1]]);
      end += 1;
    }
    // Cutting pieces out of one range must not make more of them than adding may.
    if (left.length > end - start && this.#ranges.length >= MAX_RANGES) {
      left.length = end - start;
      this.#dropped = true;
    }
    if (end > start) this.#ranges.splice(start, end - start, ...left);
  }

  /** Index of the first range that ends at `seq` or later. */
  #firstEndingFrom(seq: number): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ranges[middle]?.[1] ?? seq) < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** `ranges` and `points` as one ascending list of ranges that do not touch; of ranges that overlap, the union. */
export function joined(ranges: readonly SeqRange[], points: Iterable<number>): SeqRange[] {
  const all = [...ranges, ...Array.from(points, (seq): SeqRange => [seq, seq])].sort(([a], [b]) => a - b);
  const result: [from: number, to: number][] = [];
  for (const [from, to] of all) {
    const last = result.at(-1);
    if (last !== undefined && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else result.push([from, to]);
  }
  return result;
}

/** What is left of ascending `ranges` without `points`. */
export function without(ranges: readonly SeqRange[], points: Iterable<number>): SeqRange[] {
  const cuts = [...new Set(points)].sort((a, b) => a - b);
  const left: SeqRange[] = [];
  let next = 0;
  for (const [from, to] of ranges) {
    let start = from;
    for (; (cuts[next] ?? Number.POSITIVE_INFINITY) <= to; next += 1) {
      const cut = cuts[next] ?? start;
      if (cut < start) continue;
      if (start < cut) left.push([start, cut - 1]);
      start = cut + 1;
    }
    if (start <= to) left.push([start, to]);
  }
  return left;
}
