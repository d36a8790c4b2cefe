/** An entry of the log of checkpoints as its source has it. */
export interface StoredEntry {
  readonly index: number;
  readonly entry: Buffer;
  /** What the columns beside it say; undefined where there are none. */
  readonly columns?: { readonly chain: string; readonly size: number; readonly root: Buffer } | undefined;
}

/** A note that the log keeps itself. */
export interface StoredNote {
  readonly size: number;
  readonly note: string;
}

/** The log of checkpoints: what was said of all chains, and the notes over it. One consistent view with the events. */
export interface LogSource {
  /** Pages in the order of the index. */
  entries(): AsyncIterable<readonly StoredEntry[]>;
  /** Ascending by size. */
  notes(): AsyncIterable<StoredNote>;
}
