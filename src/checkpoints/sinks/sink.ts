import type { StoredNote } from '../store.ts';

/** Somewhere outside the database where notes are handed to. */
export interface Sink {
  /** A label of metrics: one of a handful. */
  readonly name: string;
  /** Resolves when the note is kept there; safe to repeat. */
  deliver(note: StoredNote, signal: AbortSignal): Promise<void>;
}
