import type { EventClaims, EventFacts } from './event-check.ts';
import type { SignatureVerdict } from './signature.ts';

/** The event that the next one has to follow. */
export interface Predecessor {
  readonly seq: number;
  /** Hashes of rows at this seq, for telling a copy from a fork. */
  readonly hashes: string[];
  /** What the next event's prevHash must be one of; undefined: already broken here, so the next break is explained. */
  links: string[] | undefined;
  /** No signature of its own vouches for its hash: if the next event follows another, this one was rewritten. */
  readonly weak: boolean;
  /** An event of another chain: a second row at its seq may be the true one. */
  readonly foreign: boolean;
  readonly tsMs: number | undefined;
  /** Body and hash disagree and no signature tells which was edited: the next event's prevHash does. */
  readonly undecided: EventFacts | undefined;
}

/** What a row is worth by itself. */
export interface Standing {
  readonly body: EventClaims | undefined;
  readonly foreign: boolean;
  /** The signature is missing or wrong. */
  readonly broken: boolean;
  readonly weak: boolean;
  readonly undecided: boolean;
}

/** The hash that the next event follows: the signed one, whichever column it stands in. */
export function linkOf(facts: EventFacts, verdict: SignatureVerdict | undefined): string[] {
  return [verdict?.over === 'body' ? facts.bodyHash : facts.hash];
}
