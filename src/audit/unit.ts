import type { Trx } from '../storage/database.ts';
import type { KeyedRow } from '../storage/keyed-read.ts';
import { byWorkspace, type Session, tableRoutine } from '../storage/session.ts';
import type { EventInput, EventReceipt } from './event.ts';

/** Where a row of a workspace is found. */
export interface Key {
  readonly chain: string;
  readonly id: string;
}

/** Rows that units rest on, read under the locks of their chains: for all units of a batch in one statement. */
export interface Lookup<V> {
  /** Finds rows by `keyText`; a key without a row is left out. Sends its statement before it returns. */
  read(session: Session, keys: readonly Key[]): Promise<ReadonlyMap<string, V>>;
}

/** One text per key: no workspace id has a space in it. */
export function keyText({ chain, id }: Key): string {
  return `${chain} ${id}`;
}

/** Rows that units leave, each with its workspace, stored for all units of a batch in one statement. */
export interface Write<R> {
  /** Fails unless every row was stored. Sends its statement before it returns. */
  store(session: Session, rows: readonly R[]): Promise<unknown>;
}

/** A lookup by a function of the database over lists of workspaces and ids. */
export function lookupBy<R extends KeyedRow>(name: string): Lookup<R> {
  const routine = tableRoutine(name, 3);
  return {
    async read(session, keys) {
      const asked = byWorkspace(keys.map(({ chain, id }) => ({ workspaceId: chain, id })));
      const rows = await session.call<R>(routine, [asked.workspaces, asked.counts, asked.rows.map(({ id }) => id)]);
      return new Map(rows.map((row) => [keyText({ chain: row.workspace, id: row.id }), row]));
    },
  };
}

interface BaseScope {
  /** Milliseconds since the epoch, read once for the unit. */
  readonly now: number;
  append(event: EventInput): EventReceipt;
}

/** What a unit of work is given: the open transaction and the one way to write audit events. */
export interface UnitScope extends BaseScope {
  readonly trx: Trx;
}

/** What a prepared unit is given: its row, and rows to leave. It has no statements of its own. */
export interface PreparedScope<V> extends BaseScope {
  /** The row of its key as it is under the lock. */
  readonly row: V | undefined;
  write<R>(write: Write<R>, row: R): void;
}

/** What is remembered of a unit with it, such as the answer to a request that may be repeated. */
export interface Claim<T> {
  /** Runs after `work`, on what it resolved to; a rejection is the unit's own, and takes its changes back. */
  store(scope: Pick<UnitScope, 'trx' | 'now'>, value: T): Promise<void>;
  /** The same as a row, with which a prepared unit keeps the company of its neighbours. */
  row(value: T, now: number): { readonly write: Write<unknown>; readonly row: unknown };
}

interface BaseUnit<T> {
  /** The workspace, or `_system`. */
  readonly chain: string;
  readonly claim?: Claim<T> | undefined;
  /** A restriction or an observed fact: it must not wait for a signer and is then signed later (audit.md). */
  readonly brake?: boolean;
}

/** One use case's writes and events on one chain: all of them are committed, or none. It may be run more than once. */
export interface Unit<T> extends BaseUnit<T> {
  /** The unit starts the chain (a new workspace). */
  readonly creates?: boolean;
  /** It must find all that the units before it leave, which those of its own transaction store after it: it has one to itself. */
  readonly alone?: boolean;
  work(scope: UnitScope): Promise<T>;
}

/** A unit whose reads and writes share the statements of its neighbours; for what must bear load. */
export interface PreparedUnit<T, V> extends BaseUnit<T> {
  readonly lookup: Lookup<V>;
  /** The id of its row, in the workspace of its chain. */
  readonly key: string;
  /** Throws to leave nothing. */
  decide(scope: PreparedScope<V>): T;
}

/** A unit of either kind, with its types forgotten: what the queue holds. */
export type AnyUnit = Unit<unknown> | PreparedUnit<unknown, unknown>;

export function isPrepared(unit: AnyUnit): unit is PreparedUnit<unknown, unknown> {
  return 'decide' in unit;
}

/** Whether the unit starts its chain. */
export function isCreating(unit: AnyUnit): boolean {
  return !isPrepared(unit) && unit.creates === true;
}
