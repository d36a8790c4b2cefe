import { newId } from '../ids.ts';
import type { CompactRange } from '../transparency/compact-range.ts';
import type { EventInput, EventReceipt, SealedEvent } from './event.ts';
import { sealEvent } from './event.ts';
import type { SigningModeName } from './signing-mode.ts';

/** The head row of a chain as read under its lock. */
export interface ChainHead {
  readonly chain: string;
  readonly seq: number;
  readonly hash: string;
  readonly deferredFrom: number | null;
  readonly lastMs: number;
  /** The mode that its signed events are in from here on, unless it is switched. */
  readonly signMode: SigningModeName;
  /** Over the bodies up to seq; undefined when the row has none that fits. */
  readonly tree: CompactRange | undefined;
}

/** A mark to return to when the unit that appended after it fails. */
export interface DraftMark {
  readonly events: number;
}

/**
 * The events that one transaction will add to one chain: each gets its position and hash the moment it is appended,
 * so that the same transaction can store them elsewhere. Nothing is signed yet.
 */
export class ChainDraft {
  readonly head: ChainHead;
  readonly #signerId: string | null;
  readonly #events: SealedEvent[] = [];

  constructor(head: ChainHead, signerId: string | null) {
    this.head = head;
    this.#signerId = signerId;
  }

  get events(): readonly SealedEvent[] {
    return this.#events;
  }

  /** The head as it will stand after the commit. */
  get tail(): { seq: number; hash: string; lastMs: number } {
    const last = this.#events.at(-1);
    return last === undefined
      ? { seq: this.head.seq, hash: this.head.hash, lastMs: this.head.lastMs }
      : { seq: last.seq, hash: last.hash, lastMs: Date.parse(last.ts) };
  }

  append(event: EventInput, nowMs: number): EventReceipt {
    const { seq, hash, lastMs } = this.tail;
    // A replica whose clock runs behind takes the head's time: a chain never goes back in time. Readiness tells of the skew.
    const ms = Math.max(nowMs, lastMs);
    const sealed = sealEvent(
      event,
      { chain: this.head.chain, seq: seq + 1, prevHash: hash },
      { id: newId(), ts: new Date(ms).toISOString(), signerId: this.#signerId },
    );
    this.#events.push(sealed);
    return { chain: sealed.chain, seq: sealed.seq, hash: sealed.hash };
  }

  mark(): DraftMark {
    return { events: this.#events.length };
  }

  /** Forgets everything appended after the mark; later events take those positions. */
  rewind(mark: DraftMark): void {
    this.#events.length = mark.events;
  }
}
