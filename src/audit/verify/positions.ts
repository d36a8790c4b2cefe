import type { FindingClass } from './finding.ts';
import { joined, type SeqRange, SeqRanges, without } from './seq-ranges.ts';

/** Displaced rows that are told apart; more are counted as reordered. Two numbers each. */
const MAX_DISPLACED = 100_000;

export interface PositionFinding {
  readonly seq: number;
  readonly class: Extract<FindingClass, 'gap' | 'reordered' | 'replayed' | 'projection-edited'>;
  readonly detail: string;
}

/**
 * The places of one chain: which are empty, and which hold an event whose body names another place. What a displaced
 * row means is known only when all places are: events that exchanged places (a closed cycle) were reordered, one whose
 * own place is held by its original is a copy, and any other had its seq column edited.
 */
export class Positions {
  readonly #holes = new SeqRanges();
  /** Row seq → body seq. */
  readonly #displaced = new Map<number, number>();
  /** A second row at a seq, displaced. */
  readonly #surplus: [rowSeq: number, bodySeq: number][] = [];
  /** Held by events of other chains: neither empty nor filled. */
  readonly #foreign = new Set<number>();
  readonly #overflow: number[] = [];
  #last = 0;

  /** Every event so far stands at its own place, and none behind `from` is missing. */
  inOrder(from: number): boolean {
    const apart = this.#displaced.size + this.#surplus.length + this.#foreign.size;
    return apart === 0 && this.#holes.ranges.every(([, end]) => end <= from) && !this.#holes.dropped;
  }

  hole(from: number, to: number): void {
    this.#holes.add(from, to);
  }

  /** Events up to `to` may be missing; gives those that are. */
  excuse(to: number): SeqRange[] {
    const excused = this.#holes.ranges.flatMap(([from, end]): SeqRange[] =>
      from > to ? [] : [[from, Math.min(end, to)]],
    );
    this.#holes.remove(1, to);
    return excused;
  }

  /** Whether the event at `seq` is missing. */
  lacks(seq: number): boolean {
    return this.#holes.has(seq);
  }

  /** An event of this chain stands at its own place, or cannot be told to belong elsewhere. */
  filled(seq: number): void {
    this.#last = Math.max(this.#last, seq);
    this.#foreign.delete(seq);
  }

  /** True if the place was empty so far: a row that came late. */
  late(seq: number): boolean {
    if (!this.#holes.has(seq)) return false;
    this.#holes.remove(seq, seq);
    this.filled(seq);
    return true;
  }

  displaced(rowSeq: number, bodySeq: number): void {
    if (this.#displaced.has(rowSeq)) this.surplus(rowSeq, bodySeq);
    else if (this.#displaced.size < MAX_DISPLACED) this.#displaced.set(rowSeq, bodySeq);
    else if (this.#overflow.length < MAX_DISPLACED) this.#overflow.push(rowSeq);
  }

  surplus(rowSeq: number, bodySeq: number): void {
    if (this.#surplus.length < MAX_DISPLACED) this.#surplus.push([rowSeq, bodySeq]);
  }

  foreign(seq: number): void {
    if (this.#foreign.size < MAX_DISPLACED) this.#foreign.add(seq);
  }

  /** The last place that an event of this chain fills, or claims and has not left empty. */
  lastPlace(headSeq: number): number {
    let last = this.#last;
    for (const [rowSeq, bodySeq] of this.#displaced) {
      last = Math.max(last, bodySeq <= headSeq ? bodySeq : 0, rowSeq <= headSeq ? rowSeq : 0);
    }
    for (const seq of this.#foreign) if (seq <= headSeq) last = Math.max(last, seq);
    return last;
  }

  finish(): PositionFinding[] {
    return [...this.#displacements(), ...this.#gaps()];
  }

  #displacements(): PositionFinding[] {
    const cyclic = this.#cyclic();
    const claimed = new Set<number>();
    const rows = [...this.#displaced].map(([rowSeq, bodySeq]) => ({ rowSeq, bodySeq, surplus: false }));
    const surplus = this.#surplus.map(([rowSeq, bodySeq]) => ({ rowSeq, bodySeq, surplus: true }));
    const found = [...rows, ...surplus].map(({ rowSeq, bodySeq, surplus }): PositionFinding => {
      const copy = claimed.has(bodySeq) || this.#holdsOwn(bodySeq);
      claimed.add(bodySeq);
      const detail = `the event at seq ${rowSeq} is the one of seq ${bodySeq}`;
      if (!surplus && cyclic.has(rowSeq)) return { seq: rowSeq, class: 'reordered', detail };
      if (copy) return { seq: rowSeq, class: 'replayed', detail: `${detail}, which stands there as well` };
      return { seq: rowSeq, class: 'projection-edited', detail: `seq: ${detail}` };
    });
    const rest = this.#overflow.map((seq): PositionFinding => {
      return { seq, class: 'reordered', detail: 'the event belongs to another seq (too many to tell more)' };
    });
    return [...found, ...rest];
  }

  /** The place holds an event that names this place itself. */
  #holdsOwn(seq: number): boolean {
    return seq <= this.#last && !this.#displaced.has(seq) && !this.#foreign.has(seq) && !this.#holes.has(seq);
  }

  #cyclic(): Set<number> {
    const cyclic = new Set<number>();
    const visited = new Set<number>();
    for (const start of this.#displaced.keys()) {
      const path: number[] = [];
      let place = start;
      while (this.#displaced.has(place) && !visited.has(place)) {
        visited.add(place);
        path.push(place);
        place = this.#displaced.get(place) ?? place;
      }
      const entry = path.indexOf(place);
      if (entry !== -1) for (const seq of path.slice(entry)) cyclic.add(seq);
    }
    return cyclic;
  }

  /** Places up to the last event whose event is nowhere, not even under another seq. */
  #gaps(): PositionFinding[] {
    const bodies = new Set(this.#displaced.values());
    for (const [, bodySeq] of this.#surplus) bodies.add(bodySeq);
    const vacant = without(joined(this.#holes.ranges, this.#displaced.keys()), bodies);
    const last = bodies.keys().reduce((max, seq) => Math.max(max, seq), this.#last);
    return vacant
      .filter(([from]) => from <= last)
      .map(([from, to]) => {
        const end = Math.min(to, last);
        return {
          seq: from,
          class: 'gap',
          detail: from === end ? `seq ${from} is missing` : `seq ${from} to ${end} are missing`,
        };
      });
  }
}
