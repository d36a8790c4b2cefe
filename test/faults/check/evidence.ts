import type { Call } from '../support/history.ts';
import type { Facts } from './facts.ts';

export type Invariant = 'I1' | 'I2' | 'I3' | 'I4' | 'I5' | 'I6' | 'I7' | 'I8' | 'I9' | 'I10';

export interface Violation {
  readonly invariant: Invariant;
  readonly what: string;
}

/** What the ops listener of an instance said of it at one moment. */
export interface Sample {
  readonly instance: string;
  readonly moment: 'booted' | 'settled';
  readonly residentBytes: number;
  /** s; the longest pauses of the event loop since the last look. */
  readonly loopDelayMax: number;
  readonly queueDepth: number;
  readonly openFiles: number;
  readonly droppedEvents: number;
  readonly waitingForPool: number;
}

export interface ProcessEnd {
  readonly instance: string;
  readonly expected: boolean;
  readonly code: number | null;
  readonly signal: string | null;
}

/** Everything a run leaves behind to be judged. Plain data, so that a test can damage it. */
export interface Evidence {
  readonly facts: Facts;
  /** The verdict of the independent verifier over the same database. */
  readonly audit: { readonly verdict: string; readonly findings: readonly string[] };
  readonly calls: readonly Call[];
  readonly samples: readonly Sample[];
  readonly logs: readonly { readonly instance: string; readonly text: string }[];
  readonly ends: readonly ProcessEnd[];
  /** Values that may be nowhere: not in a log, an event or an answer. */
  readonly secrets: readonly { readonly name: string; readonly value: string }[];
  /** What callers put into bodies: stored where it belongs, but never logged. */
  readonly unlogged: readonly { readonly name: string; readonly value: string }[];
}
