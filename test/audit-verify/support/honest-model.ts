import type { EventInput, EventReceipt } from '../../../src/audit/event.ts';

interface Vouched {
  readonly seq: number;
  readonly by: string;
  readonly from: number;
  readonly to: number;
}

/** What is known of one chain from what was done to it, and nothing else. */
export class ChainModel {
  /** Last event that a use case has told of. */
  newest = 0;
  /** seq → who wrote the text that was given with the event. */
  readonly texts = new Map<number, string>();
  readonly erased = new Set<number>();
  /** The event that binds the policy in force, which is never removed. */
  kept = 0;
  readonly approvals: number[] = [];
  /** Up to where events were removed. */
  removed = 0;
  held = false;
  /** By signer: events that it signed and that nobody can say it did not sign for a thief. */
  readonly doubtful = new Map<string, readonly number[]>();
  readonly vouched = new Map<string, Vouched[]>();

  appended({ seq }: EventReceipt, { type, actor, payload }: EventInput): void {
    this.newest = Math.max(this.newest, seq);
    if (type !== 'access.denied' && 'reason' in payload && payload.reason !== undefined) this.texts.set(seq, actor.id);
    if (type === 'policy.activated') this.kept = seq;
  }

  isThere(seq: number): boolean {
    return seq > this.removed || seq === this.kept;
  }

  /** Texts that one of them asked to have erased and that are still there. */
  erasable(isMeant: (seq: number, actorId: string) => boolean): number[] {
    const found = Array.from(this.texts).filter(([seq, actorId]) => isMeant(seq, actorId));
    return found.map(([seq]) => seq).filter((seq) => this.isThere(seq) && !this.erased.has(seq));
  }

  /** As many of the oldest events up to `to` as one step removes. */
  remove(to: number, limit: number): number {
    const due: number[] = [];
    for (let seq = this.removed + 1; seq <= to; seq += 1) if (seq !== this.kept) due.push(seq);
    const gone = due.slice(0, limit);
    this.removed = Math.max(this.removed, ...gone);
    return gone.length;
  }

  /** Whether something that the signer signed here is in doubt and nobody good has vouched for it. */
  needsVouching(signerId: string): boolean {
    const there = this.#doubtfulLeft(signerId);
    return there.length > 0 && this.#goodWord(signerId) === undefined;
  }

  vouch(signerId: string, word: Vouched): void {
    this.vouched.set(signerId, [...(this.vouched.get(signerId) ?? []), word]);
  }

  /** `seq class` of each notice. */
  notices({ texts }: { texts: boolean }): string[] {
    const notices: string[] = [];
    // The approval under which the last of them went; events before its end are not asked for their texts.
    const end = this.removed === 0 ? 0 : (this.approvals.find((to) => to >= this.removed) ?? Number.NaN);
    if (end > 0) notices.push(`${end} pruned`);
    if (texts) for (const seq of this.erased) if (seq > end) notices.push(`${seq} redacted`);
    for (const signerId of this.doubtful.keys()) {
      const word = this.#goodWord(signerId);
      if (word !== undefined && this.#doubtfulLeft(signerId).length > 0) notices.push(`${word.from} reattested`);
    }
    return notices;
  }

  #doubtfulLeft(signerId: string): number[] {
    return (this.doubtful.get(signerId) ?? []).filter((seq) => this.isThere(seq));
  }

  /** The first word for the signer's events that is there and not in doubt itself. */
  #goodWord(signerId: string): Vouched | undefined {
    const words = this.vouched.get(signerId) ?? [];
    return words.find(({ seq, by }) => this.isThere(seq) && this.doubtful.get(by)?.includes(seq) !== true);
  }
}
