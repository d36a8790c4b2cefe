import type { ChainClaims } from './claims.ts';
import type { FindingClass } from './finding.ts';
import { GrowingTree } from './growing-tree.ts';

/** Findings after which the bodies are known not to be those that were written, so that another root tells nothing new. */
export const BODIES_DIFFER: ReadonlySet<FindingClass> = new Set([
  'body-edited',
  'gap',
  'reordered',
  'spliced',
  'replayed',
  'forked',
  'signature-missing',
  'signature-wrong',
  'signature-wrong-key',
  'signature-wrong-algorithm',
  'tail-truncated',
  'chain-missing',
  'non-canonical',
]);
/** More places are not kept: a difference is then told again, which hides nothing. */
const MAX_DIFFERING = 10_000;

export interface TreeFinding {
  readonly seq: number;
  readonly class: Extract<FindingClass, 'projection-edited' | 'backup-restored' | 'history-rewritten'>;
  readonly detail: string;
}

interface Mismatch {
  readonly size: number;
  readonly kind: 'other-root' | 'shorter' | 'not-comparable';
}

/** The RFC 6962 tree over the bodies of one chain, compared with what was claimed of it at each size it passes. */
export class ChainTree {
  #tree: GrowingTree;
  readonly #trustedSize: number;
  readonly #claims: ChainClaims | undefined;
  /** The claim to be met next. */
  #next = 0;
  /** The newest size at which a claim was met, or up to which the tree was trusted. */
  #agreed: number;
  #mismatch: Mismatch | undefined;
  /** An event is missing, or stands elsewhere: from here on no root can be computed. */
  #broken = false;
  readonly #differing: number[] = [];
  /** Went on from a tree that only an event names. */
  #resumed = false;

  /** `trusted`: the tree of an earlier verification, to go on from; its last event is added once more. */
  constructor(claims: ChainClaims | undefined, trusted: GrowingTree = new GrowingTree()) {
    this.#claims = claims;
    this.#tree = trusted;
    this.#trustedSize = trusted.size;
    this.#agreed = trusted.size;
    this.#skip();
  }

  /** Goes on from this tree, behind events that were removed; what was claimed before its end is not compared. */
  goOn(tree: GrowingTree): void {
    const bytes = GrowingTree.from(tree.bytes());
    if (this.#broken || bytes === undefined) return;
    this.#tree = bytes;
    this.#resumed = true;
    this.#skip();
  }

  /** How many events are under a checkpoint from outside that was compared. */
  get anchored(): number {
    const { anchored = 0 } = this.#claims ?? {};
    return this.#agreed >= anchored ? anchored : 0;
  }

  add(seq: number, leaf: Buffer): void {
    if (seq === this.#trustedSize && this.#tree.size === seq) return;
    if (seq !== this.#tree.size + 1) this.#broken = true;
    if (this.#broken) return;
    this.#tree.add(leaf);
    this.#meet();
  }

  /** The body at `seq` is known not to be the one that was written there. */
  differs(seq: number): void {
    if (this.#differing.length < MAX_DIFFERING) this.#differing.push(seq);
  }

  /** The tree's bytes at exactly this size, to go on from; undefined when it has another, or is not as claimed. */
  bytesAt(size: number): Buffer | undefined {
    const good = !this.#broken && this.#mismatch === undefined && this.#tree.size === size;
    return good ? this.#tree.bytes() : undefined;
  }

  /** What no damage found before explains. `headTree`: what the head row says. */
  finish(headTree: Buffer | undefined): TreeFinding[] {
    return [...this.#headFinding(headTree), ...this.#claimFinding()];
  }

  #headFinding(headTree: Buffer | undefined): TreeFinding[] {
    const { size } = this.#tree;
    if (headTree === undefined || this.#broken || this.#differing.length > 0) return [];
    // Where that tree is another, every one after it is.
    if (this.#resumed && this.#mismatch !== undefined) return [];
    if (this.#tree.bytes().equals(headTree)) return [];
    return [{ seq: size, class: 'projection-edited', detail: "tree: not that of the chain's events" }];
  }

  #claimFinding(): TreeFinding[] {
    const mismatch = this.#mismatch ?? this.#unmet();
    if (mismatch === undefined) return [];
    const { size, kind } = mismatch;
    // A fork is named where the next event does not follow, one further on.
    const end = kind === 'other-root' ? size + 1 : Number.POSITIVE_INFINITY;
    if (this.#differing.some((seq) => seq > this.#agreed && seq <= end)) return [];
    if (kind === 'shorter') {
      const detail = `the log of checkpoints has the chain at ${size}, its last event is at ${this.#tree.size}`;
      return [{ seq: this.#tree.size + 1, class: 'backup-restored', detail }];
    }
    const detail = `the events up to ${size} are not those in the log of checkpoints`;
    return [{ seq: this.#agreed + 1, class: 'history-rewritten', detail }];
  }

  /** The claim that the tree did not come to. */
  #unmet(): Mismatch | undefined {
    const size = this.#claims?.size(this.#next);
    return size === undefined ? undefined : { size, kind: this.#broken ? 'not-comparable' : 'shorter' };
  }

  #skip(): void {
    while ((this.#claims?.size(this.#next) ?? Number.POSITIVE_INFINITY) < this.#tree.size) this.#next += 1;
    this.#meet();
  }

  /** After the first that differs the others must differ, too. */
  #meet(): void {
    if (this.#claims?.size(this.#next) !== this.#tree.size || this.#mismatch !== undefined) return;
    const { size } = this.#tree;
    if (this.#tree.root().equals(this.#claims.root(this.#next))) this.#agreed = size;
    else this.#mismatch = { size, kind: 'other-root' };
    this.#next += 1;
  }
}
