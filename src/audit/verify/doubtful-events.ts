import type { SeqRange } from './seq-ranges.ts';

/** Runs of consecutive seqs that are kept; docs/audit-format.md §5 has this number. Of what comes after them the number is. */
export const MAX_RUNS = 10_000;

/**
 * Events in ascending order that one signer left in doubt on one chain. Only what is from some seq up to the last one is ever
 * taken away, so it is a stack. Two replicas with a key each write in turns for hours, which makes a run of every event: the
 * first runs are kept, and of the others where they begin, where they end and how many they are.
 */
export class DoubtfulEvents {
  readonly #runs: [from: number, to: number][] = [];
  readonly #max: number;
  /** Past the runs. */
  #rest: { readonly first: number; count: number } | undefined;
  #last = 0;

  constructor(max = MAX_RUNS) {
    this.#max = max;
  }

  get isEmpty(): boolean {
    return this.#runs.length === 0;
  }

  /** The last one that was added; 0 before there was one. */
  get last(): number {
    return this.#last;
  }

  /** Of those that are past the runs only the last one is known. */
  has(seq: number): boolean {
    if (this.#rest !== undefined && seq === this.#last) return true;
    let [low, high] = [0, this.#runs.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#runs[middle]?.[1] ?? seq) < seq) low = middle + 1;
      else high = middle;
    }
    const run = this.#runs[low];
    return run !== undefined && run[0] <= seq;
  }

  /** Past all that was added so far. */
  add(seq: number): void {
    const run = this.#runs.at(-1);
    this.#last = seq;
    if (this.#rest !== undefined) this.#rest.count += 1;
    else if (run !== undefined && run[1] + 1 === seq) run[1] = seq;
    else if (this.#runs.length < this.#max) this.#runs.push([seq, seq]);
    else this.#rest = { first: seq, count: 1 };
  }

  /** Takes away all from `from` on and says how many they were; none when that is past where it is known which they are. */
  removeFrom(from: number): number {
    if (this.#rest !== undefined && from > this.#rest.first) return 0;
    let removed = this.#rest?.count ?? 0;
    this.#rest = undefined;
    for (let run = this.#runs.at(-1); run !== undefined && run[1] >= from; run = this.#runs.at(-1)) {
      const start = Math.max(run[0], from);
      removed += run[1] - start + 1;
      if (start === run[0]) this.#runs.pop();
      else run[1] = start - 1;
    }
    return removed;
  }

  /** What is left: the runs, and how many events come after them. */
  get left(): { readonly runs: readonly SeqRange[]; readonly rest: number } {
    return { runs: this.#runs, rest: this.#rest?.count ?? 0 };
  }
}
