import { hash } from 'node:crypto';

import { parseBody } from './body.ts';
import type { ChainTree } from './chain-tree.ts';
import type { EventFacts } from './event-check.ts';
import { GrowingTree } from './growing-tree.ts';

/** In the bytes of every event that says so. */
export const PRUNING_MARK = '"eventType":"audit.pruned"';
const HASH = /^[0-9a-f]{64}$/;

/** What an `audit.pruned` says: the events up to `to` may be gone, the last of them had this hash and all of them this tree. */
interface Approval {
  /** Of the event that says so. */
  readonly seq: number;
  readonly bodyHash: string;
  readonly to: number;
  readonly hash: string;
  readonly tree: GrowingTree;
}

export interface Removed {
  readonly approval: Approval;
  /** Events that are gone. */
  readonly count: number;
}

/**
 * The approvals of one chain to remove its oldest events. They come after what they approve, so they are taken at their word
 * at first (`bodies`), and count once the event itself was met with a signature of its own.
 */
export class Prunings {
  readonly #approvals: readonly Approval[];
  readonly #confirmed = new Set<Approval>();
  readonly #misfits = new Set<Approval>();
  /** The one from whose end the tree goes on. */
  #applied: Approval | undefined;
  #resumed: Approval | undefined;

  constructor(chain: string, bodies: readonly Uint8Array[]) {
    const approvals = bodies.flatMap((body) => approvalIn(body, chain) ?? []);
    this.#approvals = approvals.sort((a, b) => a.to - b.to || a.seq - b.seq);
  }

  /** Up to where events may be gone, by the approvals that count. */
  get to(): number {
    return Math.max(0, ...Array.from(this.#confirmed, ({ to }) => to));
  }

  /** Approvals that count and say something else than the events that are there. */
  get misfits(): readonly Approval[] {
    return Array.from(this.#confirmed).filter((approval) => this.#misfits.has(approval));
  }

  /** Whether an approval that may still count reaches `seq`; if it ends there, it has to name this hash and tree. */
  mayReach(seq: number, known: { readonly hash: string; readonly tree: GrowingTree }): boolean {
    return this.#approvals.some(({ to, hash: named, tree }) => {
      return to > seq || (to === seq && named === known.hash && tree.bytes().equals(known.tree.bytes()));
    });
  }

  /** Events up to `end` are missing. */
  hole(end: number): void {
    this.#applied = this.#approvals.find(({ to }) => to >= end) ?? this.#applied;
  }

  /** The event lies in a part that may be gone. */
  within(seq: number): boolean {
    return seq <= (this.#applied?.to ?? 0);
  }

  /** Adds the leaf to the tree, which goes on behind a part of which events are gone. */
  grow(tree: ChainTree, seq: number, leaf: Buffer): void {
    if (this.within(seq)) return;
    if (this.#applied !== this.#resumed && this.#applied !== undefined) {
      this.#resumed = this.#applied;
      tree.goOn(this.#applied.tree);
    }
    tree.add(seq, leaf);
  }

  /** An event at its own place, validly signed if it has to be; `link`: its hash, as the next one has to name it. */
  met(facts: EventFacts, link: string, prevHash: string, tree: Buffer | undefined): void {
    for (const approval of this.#approvals) {
      const { seq, to, bodyHash } = approval;
      if (seq === facts.seq && bodyHash === facts.bodyHash && !facts.deferred) this.#confirmed.add(approval);
      const named = to === facts.seq ? link : to + 1 === facts.seq ? prevHash : approval.hash;
      const other = to === facts.seq && tree !== undefined && !tree.equals(approval.tree.bytes());
      if (named !== approval.hash || other) this.#misfits.add(approval);
    }
  }

  /** The approval under which events up to `last` were removed. */
  removed(count: number, last: number): Removed | undefined {
    const approval = this.#approvals.find((known) => this.#confirmed.has(known) && known.to >= last);
    return approval === undefined || count === 0 ? undefined : { approval, count };
  }
}

function approvalIn(bytes: Uint8Array, chain: string): Approval | undefined {
  const body = parseBody(bytes);
  if (typeof body === 'string' || body.chain !== chain || body.eventType !== 'audit.pruned') return undefined;
  const { to, hash: named, tree: text } = body.payload;
  if (typeof to !== 'number' || !Number.isSafeInteger(to) || to < 1 || to >= body.seq) return undefined;
  if (typeof named !== 'string' || !HASH.test(named) || typeof text !== 'string') return undefined;
  const encoded = Buffer.from(text, 'base64');
  const tree = encoded.toString('base64') === text ? GrowingTree.from(encoded) : undefined;
  if (tree?.size !== to) return undefined;
  return { seq: body.seq, bodyHash: hash('sha256', bytes, 'hex'), to, hash: named, tree };
}
