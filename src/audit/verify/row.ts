import type { BatchPlace } from './batch-place.ts';
import type { LogSource } from './log-source.ts';
import type { StoredValues } from './personal.ts';

/** The largest body an event may have, in bytes. A source hands on one byte more, so that a longer one is seen. */
export const MAX_BODY_BYTES = 65_535;

/** One stored event as its source gives it. Every member may have been edited; only `body` under a signature counts. */
export interface AuditRow {
  readonly chain: string;
  readonly seq: number;
  readonly id: string;
  readonly eventType: string;
  /** RFC 3339 UTC, ms; more digits when the column holds more. */
  readonly ts: string;
  readonly actor: unknown;
  /** JSON text of the projection. */
  readonly payload: string;
  readonly body: Buffer;
  readonly hash: string;
  readonly prevHash: string;
  readonly signature: string | null;
  readonly signerId: string | null;
  readonly signMode: string;
  readonly batch?: BatchPlace | undefined;
  /** What people wrote in it; undefined where the source says nothing of that. */
  readonly personal?: StoredValues | undefined;
  /** Something beside the row that says something else than its body. */
  readonly otherwise?: string;
}

export interface Head {
  readonly seq: number;
  readonly hash: string;
  /** The tree over the chain's bodies as GrowingTree gives its bytes; null: not known yet. */
  readonly tree: Buffer | null;
  /** The first unsigned event without a cover; undefined: the schema has no such column. */
  readonly deferredFrom?: number | null | undefined;
  /** The mode of the signed events; undefined: the schema has no such column. */
  readonly signMode?: string | undefined;
}

/** A chain that ought to have events and has none, and what says so. */
export interface MissingChain {
  readonly chain: string;
  readonly detail: string;
}

export interface SourcePage {
  readonly rows: readonly AuditRow[];
  /** 0 … 1, how much of the source has been read, as far as it can be told. */
  readonly fraction: number;
}

/** Chains of which only what comes from a seq on is to be read; of all others, from the first seq that the source was opened for. */
export type Begin = ReadonlyMap<string, { readonly seq: number }>;

/** Where events come from. One consistent view of the log for as long as it is open. */
export interface EventSource {
  /** Rows of one chain stand together, in the order of seq; duplicates included. */
  readonly ordered: boolean;
  pages(begin?: Begin): AsyncIterable<SourcePage>;
  /** undefined: no head row; null: this source carries no heads at all. */
  head(chain: string): Promise<Head | undefined | null>;
  missingChains(): AsyncIterable<MissingChain>;
  /** Bodies of the events of a chain that may approve the removal of others, in bounded number; there before its first event is. */
  prunings(chain: string): Promise<readonly Uint8Array[]>;
  /** Personal values beyond the end of their chain; absent where there are none by the form of the source. */
  strayValues?(): AsyncIterable<{ readonly chain: string; readonly seq: number }>;
  /** What of it could not be compared, in sentences. */
  readonly notes?: readonly string[];
  /** undefined: this source has none, or hides it (then it says so in a sentence). */
  readonly log: LogSource | string | undefined;
  close(): Promise<void>;
}
