import type { Clock } from '../clock.ts';
import { asUnavailable } from '../storage/pg-errors.ts';
import type { Session } from '../storage/session.ts';
import type { ChainDraft } from './chain.ts';
import { AuditError } from './errors.ts';
import {
  type AnyUnit,
  isCreating,
  isPrepared,
  type Key,
  keyText,
  type Lookup,
  type PreparedUnit,
  type Write,
} from './unit.ts';

/** A unit in line. */
export interface Entry {
  readonly unit: AnyUnit;
  /** By performance.now(): a clock that is set back must not lengthen the wait. */
  readonly deadline: number;
}

/** What became of a unit. */
export type Outcome = { ok: true; value: unknown } | { ok: false; error: unknown };

/** Rows of all chains that wait for their statements. */
export type PendingWrites = Map<Write<unknown>, unknown[]>;

interface PreparedEntry {
  readonly unit: PreparedUnit<unknown, unknown>;
  readonly entry: Entry;
}

/** Rows by lookup, asked for and perhaps not here yet. */
type AskedRows = ReadonlyMap<Lookup<unknown>, Promise<ReadonlyMap<string, unknown>>>;

interface OpenChain {
  readonly session: Session;
  readonly draft: ChainDraft;
  readonly writes: PendingWrites;
  readonly clock: Clock;
}

/** Runs what follows the first segment: units with statements of their own, and those that must find what is there by then. */
export async function runOthers(
  open: OpenChain,
  entries: readonly Entry[],
  begun: readonly Outcome[],
): Promise<Outcome[]> {
  const { session, draft, writes, clock } = open;
  const outcomes = [...begun];
  while (outcomes.length < entries.length) {
    flush(session, writes);
    const rest = entries.slice(outcomes.length);
    const segment = segmentOf(rest);
    if (segment.length === 0) outcomes.push(await runAlone(open, rest[0]));
    else outcomes.push(...(await decideAll(segment, ask(session, segment), draft, writes, clock)));
  }
  return outcomes;
}

/** The prepared units at the start of `entries` that do not meet each other. */
export function segmentOf(entries: readonly Entry[]): readonly PreparedEntry[] {
  const segment: PreparedEntry[] = [];
  const met = new Set<string>();
  for (const entry of entries) {
    const { unit } = entry;
    if (!isPrepared(unit) || met.has(unit.key)) break;
    met.add(unit.key);
    segment.push({ unit, entry });
  }
  return segment;
}

/** Sends the lookups of prepared units, one statement for each kind. */
export function ask(session: Session, segment: readonly PreparedEntry[]): AskedRows {
  const keys = new Map<Lookup<unknown>, Key[]>();
  for (const { unit } of segment) addTo(keys, unit.lookup, { chain: unit.chain, id: unit.key });
  return new Map(
    [...keys].map(([lookup, wanted]) => {
      const rows = lookup.read(session, wanted);
      // The session hears of a failure, too.
      rows.catch(() => undefined);
      return [lookup, rows];
    }),
  );
}

export async function decideAll(
  segment: readonly PreparedEntry[],
  asked: AskedRows,
  draft: ChainDraft,
  writes: PendingWrites,
  clock: Clock,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const { unit, entry } of segment) {
    const rows = await asked.get(unit.lookup);
    const row = rows?.get(keyText({ chain: unit.chain, id: unit.key }));
    outcomes.push(decide(unit, entry, row, draft, writes, clock()));
  }
  return outcomes;
}

/** Pure but for the draft: what it appends and leaves is forgotten when it throws. */
function decide(
  unit: PreparedUnit<unknown, unknown>,
  entry: Entry,
  row: unknown,
  draft: ChainDraft,
  writes: PendingWrites,
  now: number,
): Outcome {
  const mark = draft.mark();
  const left: [Write<unknown>, unknown][] = [];
  try {
    requireInTime(entry);
    const value = unit.decide({
      now,
      row,
      append: (event) => draft.append(event, now),
      write: (write, written) => left.push([write, written]),
    });
    const kept = unit.claim?.row(value, now);
    if (kept !== undefined) left.push([kept.write, kept.row]);
    for (const [write, written] of left) addTo(writes, write, written);
    return { ok: true, value };
  } catch (error) {
    draft.rewind(mark);
    return { ok: false, error };
  }
}

function addTo<K, V>(lists: Map<K, V[]>, key: K, value: V): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}

/** A unit with statements of its own, which alone are taken back when it fails. */
async function runAlone({ session, draft, clock }: OpenChain, entry: Entry | undefined): Promise<Outcome> {
  if (entry === undefined || isPrepared(entry.unit)) throw new AuditError('AUDIT_UNAVAILABLE', 'not a unit of its own');
  const { unit } = entry;
  const mark = draft.mark();
  try {
    requireInTime(entry);
    const now = clock();
    const value = await session.attempt(draft.head.chain, async (trx) => {
      const done = await unit.work({ trx, now, append: (event) => draft.append(event, now) });
      await unit.claim?.store({ trx, now }, done);
      return done;
    });
    return { ok: true, value };
  } catch (error) {
    // The chain it was to start must not stay behind.
    if (isCreating(unit)) throw error;
    draft.rewind(mark);
    return { ok: false, error: asUnavailable(error) ?? error };
  }
}

/** Too late for a caller who may have been told so: it must not happen any more. */
export function isLate({ deadline }: Entry): boolean {
  return performance.now() > deadline;
}

export function lateError(): AuditError {
  return new AuditError('OVERLOADED', 'waited too long for the audit chain');
}

function requireInTime(entry: Entry): void {
  if (isLate(entry)) throw lateError();
}

/** Sends the statements of all rows left so far. */
export function flush(session: Session, writes: PendingWrites): void {
  for (const [write, rows] of writes) {
    // The session hears of a failure; here nobody waits.
    write.store(session, rows).catch(() => undefined);
  }
  writes.clear();
}
