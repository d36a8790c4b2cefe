/**
 * Files that are read again when they change. A slice hands its WatchedSource to the start (`sources` of assembleIdentity):
 * all of them are loaded before anything listens, and looked at every CASTELLAN_IDENTITY_RELOAD_MS from then on.
 * Connections are judged again after each change; who learns without a file that somebody counts no more (a lock) calls
 * `await app.trust.recheck()`, which asks `authenticate` again for requests under way and `standing` for idle connections.
 */
import type { EventPayload } from '../audit/event-types.ts';
import type { UnauthenticatedReason } from '../identity/errors.ts';

type AppliedType =
  | 'identity.map.applied'
  | 'trust.bundle.applied'
  | 'server.certificate.applied'
  | 'revocations.applied'
  | 'token.issuers.applied';

/** What is written once a change is in force; the actor is the service. */
export type AppliedEvent = { [T in AppliedType]: { readonly type: T; readonly payload: EventPayload<T> } }[AppliedType];

/** Contents that were found good and are not in force yet. */
export interface Loaded {
  /** Puts them in force: at once, without failing. All sources that changed together switch in one turn of the event loop. */
  apply(): void;
  /** Why connections may end for this change: those are counted as closed by it. Empty: no connection rests on it. */
  readonly ends: readonly UnauthenticatedReason[];
  /**
   * At a start they are written only where they differ from the last ones of their type (and `source`), `closedConnections`
   * apart.
   */
  events(closedConnections: number): readonly AppliedEvent[];
}

/** Something in force that ends by itself. */
export interface Ending {
  /** Label of `castellan_certificate_days_left`: of the settings, never of a file's contents. */
  readonly certificate: string;
  /** Epoch ms. Past it the replica is not ready. */
  readonly notAfter: number;
}

export interface WatchedSource {
  /** Label of metrics and `source` of `identity.reload.refused`, such as `client_ca`. */
  readonly name: string;
  /** Absolute; a source that rests on another's file (a revocation list on the authorities) names that too. */
  readonly paths: readonly string[];
  /**
   * Checks the contents of all paths; throws what is wrong with them, for people to read, and what was in force stays.
   * Called again with the same contents while they are refused.
   */
  load(contents: ReadonlyMap<string, Buffer>): Promise<Loaded>;
  /** What is in force now. */
  endings?(): readonly Ending[];
}
