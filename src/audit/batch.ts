import type { Clock } from '../clock.ts';
import { type Signer, SignerError } from '../crypto/signer.ts';
import type { Failpoint, Failpoints } from '../failpoints.ts';
import type { Session } from '../storage/session.ts';
import { ChainDraft, type ChainHead } from './chain.ts';
import { requireGenuine } from './deferred.ts';
import { AuditError } from './errors.ts';
import { type SealedEvent, signedBytes } from './event.ts';
import type { ChainBatch } from './queue.ts';
import { appendEvents, createHead, openHeads } from './store.ts';
import { type AnyUnit, isPrepared, type Key, keyText, type Lookup, type PreparedUnit, type Write } from './unit.ts';

/** ms; below lock_timeout, so that a dead signer never looks like a dead database. */
const SIGN_DEADLINE_MS = 2000;

/** A unit in line. */
export interface Entry {
  readonly unit: AnyUnit;
  /** By performance.now(): a clock that is set back must not lengthen the wait. */
  readonly deadline: number;
}

export type Outcome = { ok: true; value: unknown } | { ok: false; error: unknown };

/** One outcome per entry; or the chain's lock was not to be had, and nothing was done. */
export type ChainOutcome = readonly Outcome[] | 'contended';

export interface BatchParts {
  readonly clock: Clock;
  readonly failpoints: Failpoints | undefined;
  readonly observe: {
    batch(size: number): void;
    signed(seconds: number): void;
  };
}

interface OpenChain {
  readonly entries: readonly Entry[];
  readonly draft: ChainDraft;
}

/** Rows of all chains that wait for their statements. */
type PendingWrites = Map<Write<unknown>, unknown[]>;

interface PreparedEntry {
  readonly unit: PreparedUnit<unknown, unknown>;
  readonly entry: Entry;
}

/** Rows by lookup, asked for and perhaps not here yet. */
type AskedRows = ReadonlyMap<Lookup<unknown>, Promise<ReadonlyMap<string, unknown>>>;

/**
 * Writes the batches of several chains in one open transaction: locks the heads, runs the units, signs, stores. Without a
 * signer the events are stored unsigned and the head remembers the first of them. Only what was sent last is not awaited.
 */
export async function writeBatches(
  session: Session,
  batches: readonly ChainBatch<Entry>[],
  options: { readonly by: Signer | undefined; readonly waits: boolean },
  parts: BatchParts,
): Promise<ReadonlyMap<string, ChainOutcome>> {
  const { by, waits } = options;
  // In one order everywhere, so that two transactions that wait never wait for each other.
  const inOrder = batches.toSorted((a, b) => (a.chain < b.chain ? -1 : 1));
  const asked = openHeads(
    session,
    inOrder.map(({ chain }) => chain),
    waits,
  );
  // Sent behind the locks and not awaited: what they find is what is there under them.
  const first = new Map(inOrder.map(({ chain, entries }) => [chain, segmentOf(entries)]));
  const rows = ask(session, [...first.values()].flat());
  const heads = await asked;

  const outcomes = new Map<string, ChainOutcome>();
  const written: OpenChain[] = [];
  const writes: PendingWrites = new Map();
  for (const { chain, entries } of inOrder) {
    const head = heads.get(chain) ?? (await createdHead(session, chain, entries));
    if (head === undefined && !waits) {
      outcomes.set(chain, 'contended');
      continue;
    }
    if (head === undefined) throw new AuditError('NOT_FOUND', 'no such workspace');
    const open: OpenChain = { entries, draft: new ChainDraft(head, by?.signerId ?? null) };
    if (by !== undefined) await coverDeferred(session, open.draft, parts.clock());
    const begun = await decideAll(first.get(chain) ?? [], rows, open.draft, writes, parts.clock);
    outcomes.set(chain, await runOthers(session, open, begun, writes, parts));
    written.push(open);
  }
  await store(session, written, writes, by, parts);
  return outcomes;
}

async function createdHead(session: Session, chain: string, entries: readonly Entry[]): Promise<ChainHead | undefined> {
  if (entries[0] === undefined || !isCreating(entries[0].unit)) return undefined;
  const { client, end } = await session.enter(chain);
  try {
    return (await createHead(client, chain)) ?? (await openHeads(session, [chain], true)).get(chain);
  } finally {
    end();
  }
}

function isCreating(unit: AnyUnit): boolean {
  return !isPrepared(unit) && unit.creates === true;
}

/** Signs the events of all chains at once and sends what is left to store; the last statements are not awaited. */
async function store(
  session: Session,
  written: readonly OpenChain[],
  writes: PendingWrites,
  by: Signer | undefined,
  { failpoints, observe }: BatchParts,
): Promise<void> {
  const drafts = written.map(({ draft }) => draft).filter(({ events }) => events.length > 0);
  const pass = async (name: Failpoint) => {
    if (failpoints !== undefined) for (const { head } of drafts) await failpoints(name, head.chain);
  };
  await pass('audit.hashed');
  const signatures = await signaturesOf(by, drafts, observe);
  await pass('audit.signed');
  flush(session, writes);
  if (drafts.length === 0) return;
  const appended = appendEvents(
    session,
    drafts.map(({ head, events, tail }, index) => {
      const deferredFrom = by === undefined ? (head.deferredFrom ?? events[0]?.seq ?? null) : null;
      return { head, events, signatures: signatures[index] ?? [], deferredFrom, lastMs: tail.lastMs };
    }),
  );
  // Only a failpoint needs to know that it is stored and not committed; else COMMIT follows at once.
  if (failpoints === undefined) appended.catch(() => undefined);
  else await appended;
  await pass('audit.inserted');
  observe.batch(drafts.reduce((sum, { events }) => sum + events.length, 0));
}

/** For each draft the signatures of its events, all made at once; null without a signer. */
async function signaturesOf(
  by: Signer | undefined,
  drafts: readonly ChainDraft[],
  observe: BatchParts['observe'],
): Promise<readonly (readonly (string | null)[])[]> {
  if (by === undefined) return drafts.map(({ events }) => events.map(() => null));
  const signed = await signAll(
    by,
    drafts.flatMap(({ events }) => events),
    observe,
  );
  let used = 0;
  return drafts.map(({ events }) => {
    used += events.length;
    return signed.slice(used - events.length, used);
  });
}

async function signAll(
  by: Signer,
  events: readonly SealedEvent[],
  observe: BatchParts['observe'],
): Promise<readonly string[]> {
  if (events.length === 0) return [];
  const started = performance.now();
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(new Error('the signer took too long')), SIGN_DEADLINE_MS);
  try {
    const signatures = await Promise.all(events.map((event) => by.sign(signedBytes(event), deadline.signal)));
    return signatures.map((signature) => signature.toString('base64'));
  } catch (cause) {
    throw cause instanceof SignerError ? cause : new SignerError('the audit signer failed', { cause });
  } finally {
    clearTimeout(timer);
    observe.signed((performance.now() - started) / 1000);
  }
}

/** Runs what follows the first segment: units with statements of their own, and those that must find what is there by then. */
async function runOthers(
  session: Session,
  { entries, draft }: OpenChain,
  begun: readonly Outcome[],
  writes: PendingWrites,
  parts: BatchParts,
): Promise<Outcome[]> {
  const outcomes = [...begun];
  while (outcomes.length < entries.length) {
    flush(session, writes);
    const rest = entries.slice(outcomes.length);
    const segment = segmentOf(rest);
    if (segment.length === 0) outcomes.push(await runAlone(session, draft, rest[0], parts));
    else outcomes.push(...(await decideAll(segment, ask(session, segment), draft, writes, parts.clock)));
  }
  return outcomes;
}

/** The prepared units at the start of `entries` that do not meet each other. */
function segmentOf(entries: readonly Entry[]): readonly PreparedEntry[] {
  const segment: PreparedEntry[] = [];
  const met = new Set<string>();
  for (const entry of entries) {
    const { unit } = entry;
    if (!isPrepared(unit) || unit.claim !== undefined || met.has(unit.key)) break;
    met.add(unit.key);
    segment.push({ unit, entry });
  }
  return segment;
}

/** Sends the lookups of prepared units, one statement for each kind. */
function ask(session: Session, segment: readonly PreparedEntry[]): AskedRows {
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

async function decideAll(
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
      // Only ever handed back to the Write it came with.
      write: (write, written) => left.push([write as Write<unknown>, written]),
    });
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
async function runAlone(
  session: Session,
  draft: ChainDraft,
  entry: Entry | undefined,
  parts: BatchParts,
): Promise<Outcome> {
  if (entry === undefined) throw new AuditError('AUDIT_UNAVAILABLE', 'empty batch');
  const mark = draft.mark();
  try {
    return { ok: true, value: await session.attempt(() => runUnit(session, draft, entry, parts.clock())) };
  } catch (error) {
    // The chain it was to start must not stay behind.
    if (isCreating(entry.unit)) throw error;
    draft.rewind(mark);
    return { ok: false, error };
  }
}

async function runUnit(session: Session, draft: ChainDraft, entry: Entry, now: number): Promise<unknown> {
  requireInTime(entry);
  const { chain } = draft.head;
  const { unit } = entry;
  // A lease of its own: what a unit that failed had still in line must not run for its neighbours.
  const { trx, end } = await session.enter(chain);
  try {
    const value = isPrepared(unit)
      ? await decideAlone(session, unit, entry, draft, now)
      : await unit.work({ trx, now, append: (event) => draft.append(event, now) });
    await unit.claim?.store({ trx, now }, value);
    return value;
  } finally {
    end();
  }
}

async function decideAlone(
  session: Session,
  unit: PreparedUnit<unknown, unknown>,
  entry: Entry,
  draft: ChainDraft,
  now: number,
): Promise<unknown> {
  const key = { chain: draft.head.chain, id: unit.key };
  const rows = await unit.lookup.read(session, [key]);
  const writes: PendingWrites = new Map();
  const outcome = decide(unit, entry, rows.get(keyText(key)), draft, writes, now);
  if (!outcome.ok) throw outcome.error;
  flush(session, writes);
  return outcome.value;
}

function requireInTime(entry: Entry): void {
  if (performance.now() > entry.deadline) throw new AuditError('OVERLOADED', 'waited too long for the audit chain');
}

/** Sends the statements of all rows left so far. */
function flush(session: Session, writes: PendingWrites): void {
  for (const [write, rows] of writes) {
    // The session hears of a failure; here nobody waits.
    write.store(session, rows).catch(() => undefined);
  }
  writes.clear();
}

/**
 * The first signed event after unsigned ones says which they were; their hashes are bound by the chain. Rejects when they
 * are not what this service writes unsigned: someone else put them there, and our signature would vouch for them.
 */
async function coverDeferred(session: Session, draft: ChainDraft, now: number): Promise<void> {
  const { chain, deferredFrom, seq, hash } = draft.head;
  if (deferredFrom === null) return;
  const { client, end } = await session.enter(chain);
  try {
    await requireGenuine(client, { chain, from: deferredFrom, to: seq, hash });
  } finally {
    end();
  }
  draft.append(
    {
      type: 'audit.deferred.covered',
      actor: { id: 'castellan', kind: 'system' },
      payload: { from: deferredFrom, to: seq },
    },
    now,
  );
}
