/** One event in the form that was asked for. */
export interface Item {
  /** The event's id. */
  readonly id: string;
  /** JSON without a line feed. */
  readonly text: string;
}

/** Somewhere that events are handed to. */
export interface Destination {
  /** Resolves when all are there; safe to repeat. Rejects with StreamError UNDELIVERED when trying again would not help. */
  deliver(items: readonly Item[]): Promise<void>;
}

/** The form of standard output and of files: one event per line. */
export function linesOf(items: readonly Item[]): string {
  return items.map(({ text }) => `${text}\n`).join('');
}
