import type { Item } from './destination.ts';
import type { StreamPosition } from './state.ts';
import type { StreamedEvent } from './streamed-event.ts';

/** Events and characters that are handed over at once; a single event is never too large. */
const MAX_ITEMS = 500;
const MAX_SIZE = 1_000_000;

/** Events on their way, and where each chain will stand when they are delivered. */
export class Batch {
  readonly items: Item[] = [];
  readonly positions = new Map<string, StreamPosition>();
  #size = 0;

  /** Whether `item` still belongs to it. */
  fits(item: Item): boolean {
    return this.items.length === 0 || (this.items.length < MAX_ITEMS && this.#size + item.text.length <= MAX_SIZE);
  }

  add({ chain, seq, hash }: StreamedEvent, item: Item): void {
    this.items.push(item);
    this.positions.set(chain, { seq, hash });
    this.#size += item.text.length;
  }
}
