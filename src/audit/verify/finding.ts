/** What can be wrong with a log. The names are promised to readers of `--json`. */
export const FINDING_CLASSES = [
  'body-edited', // the body is not the one whose hash was signed (or, unsigned, the one the next event follows)
  'hash-edited', // the hash column is not the body's, and the body is the signed one
  'projection-edited', // a query column says something else than the body
  'gap', // an event is missing between others; seq is the first missing one
  'reordered', // events stand in each other's places
  'spliced', // a signed event of another chain
  'replayed', // one event twice
  'forked', // two histories: two events at one position, or one that does not follow its predecessor
  'signature-missing',
  'signature-wrong',
  'signature-wrong-key', // made by another registered key than the one named, or by one of another purpose
  'signature-wrong-algorithm', // not made by the algorithm the registry has for the signer
  'signer-out-of-range', // the signer was not allowed to sign then: unknown, pending, expired, revoked
  'signer-compromised',
  'tail-truncated', // the head row and the last event disagree
  'chain-missing',
  'backup-restored', // a checkpoint knows of more than there is; seq is the first missing one
  'history-rewritten', // a checkpoint knows of another history; seq is the first that may differ
  'clock-regression',
  'non-canonical', // the signed bytes are not the RFC 8785 form of a version 1 event
  'deferred-uncovered', // unsigned so far: incomplete, not tampered
  'reattested', // signed by a key that was stolen since, and vouched for again by a later event
  'redacted', // personal values were erased; the event itself is whole
  'pruned', // events were removed behind a checkpoint, as a signed event says
] as const;

export type FindingClass = (typeof FINDING_CLASSES)[number];

export interface Finding {
  readonly chain: string;
  readonly seq: number;
  readonly class: FindingClass;
  readonly detail: string;
}

/** Findings kept of each class: the first tell the story, and memory stays bounded. */
const KEPT_PER_CLASS = 1000;
const INCOMPLETE: ReadonlySet<FindingClass> = new Set(['deferred-uncovered']);
/** What a reader must know and is no damage: said, and never a reason to fail. */
const NOTICES: ReadonlySet<FindingClass> = new Set(['reattested', 'redacted', 'pruned']);

/** Collects findings: counts all, keeps the first 1,000 of each class. */
export class Findings {
  readonly #kept: Finding[] = [];
  readonly #counts = new Map<FindingClass, number>();

  add(chain: string, seq: number, findingClass: FindingClass, detail: string): void {
    const count = (this.#counts.get(findingClass) ?? 0) + 1;
    this.#counts.set(findingClass, count);
    if (count <= KEPT_PER_CLASS) this.#kept.push({ chain, seq, class: findingClass, detail });
  }

  /** By chain, then seq. */
  get kept(): readonly Finding[] {
    return this.#kept.toSorted((a, b) => (a.chain === b.chain ? a.seq - b.seq : a.chain < b.chain ? -1 : 1));
  }

  get counts(): ReadonlyMap<FindingClass, number> {
    return this.#counts;
  }

  get total(): number {
    return this.#counts.values().reduce((sum, count) => sum + count, 0);
  }

  /** Notices aside. */
  get problems(): number {
    return this.#counts.entries().reduce((sum, [name, count]) => sum + (NOTICES.has(name) ? 0 : count), 0);
  }

  get tampered(): boolean {
    return this.#counts.keys().some((name) => !INCOMPLETE.has(name) && !NOTICES.has(name));
  }
}
