import type { Clock } from '../clock.ts';
import type { Failpoint, Failpoints } from '../failpoints.ts';
import type { Session } from '../storage/session.ts';
import { ChainDraft, type ChainHead } from './chain.ts';
import { requireGenuine } from './deferred.ts';
import { AuditError } from './errors.ts';
import { keepPersonal } from './personal-store.ts';
import type { ChainBatch } from './queue.ts';
import {
  ask,
  decideAll,
  type Entry,
  flush,
  type Outcome,
  type PendingWrites,
  runOthers,
  segmentOf,
} from './run-units.ts';
import { type Signing, signaturesOf } from './sign-batch.ts';
import { appendEvents, createHead, openHeads } from './store.ts';
import { treeOf } from './tree.ts';
import { isCreating } from './unit.ts';

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

/**
 * Writes the batches of several chains in one open transaction: locks the heads, runs the units, signs, stores. Without a
 * signer the events are stored unsigned and the head remembers the first of them. Only what was sent last is not awaited.
 */
export async function writeBatches(
  session: Session,
  batches: readonly ChainBatch<Entry>[],
  options: { readonly by: Signing | undefined; readonly waits: boolean },
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
  const written: ChainDraft[] = [];
  const writes: PendingWrites = new Map();
  for (const { chain, entries } of inOrder) {
    const head = heads.get(chain) ?? (await createdHead(session, chain, entries));
    if (head === undefined && !waits) {
      outcomes.set(chain, 'contended');
      continue;
    }
    if (head === undefined) throw new AuditError('NOT_FOUND', 'no such workspace');
    const draft = new ChainDraft(head, by?.signer.signerId ?? null);
    if (by !== undefined) await coverDeferred(session, draft, parts.clock());
    const opening = switchMode(draft, by, parts.clock());
    const begun = await decideAll(first.get(chain) ?? [], rows, draft, writes, parts.clock);
    outcomes.set(chain, await runOthers({ session, draft, writes, clock: parts.clock }, entries, begun));
    opening.endUnused();
    written.push(draft);
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

/** Signs the events of all chains at once and sends what is left to store; the last statements are not awaited. */
async function store(
  session: Session,
  written: readonly ChainDraft[],
  writes: PendingWrites,
  by: Signing | undefined,
  { failpoints, observe }: BatchParts,
): Promise<void> {
  const drafts = written.filter(({ events }) => events.length > 0);
  const pass = async (name: Failpoint) => {
    if (failpoints !== undefined) for (const { head } of drafts) await failpoints(name, head.chain);
  };
  const grown = await Promise.all(drafts.map(async (draft) => ({ draft, tree: await treeOf(session, draft) })));
  await pass('audit.hashed');
  const signatures = await signaturesOf(
    by,
    drafts.flatMap(({ events }) => events),
    observe.signed,
  );
  await pass('audit.signed');
  flush(session, writes);
  if (drafts.length === 0) return;
  keepPersonal(
    session,
    drafts.flatMap(({ events }) => events),
  );
  const appended = appendEvents(
    session,
    grown.map(({ draft: { head, events, tail }, tree }) => {
      const deferredFrom = by === undefined ? (head.deferredFrom ?? events[0]?.seq ?? null) : null;
      return { head, events, deferredFrom, lastMs: tail.lastMs, tree };
    }),
    signatures,
  );
  // Only a failpoint needs to know that it is stored and not committed; else COMMIT follows at once.
  if (failpoints === undefined) appended.catch(() => undefined);
  else await appended;
  await pass('audit.inserted');
  observe.batch(drafts.reduce((sum, { events }) => sum + events.length, 0));
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

/**
 * Where signed events of a chain are of another mode than this service's, its own begin by saying so. `endUnused` takes
 * that back when nothing was said besides.
 */
function switchMode(draft: ChainDraft, by: Signing | undefined, now: number): { endUnused(): void } {
  const from = draft.head.signMode;
  if (by === undefined || by.mode.name === from) return { endUnused: () => undefined };
  const before = draft.mark();
  draft.append(
    {
      type: 'audit.signmode.switched',
      actor: { id: 'castellan', kind: 'system' },
      payload: { from, to: by.mode.name },
    },
    now,
  );
  return {
    endUnused: () => {
      if (draft.events.length === 1) draft.rewind(before);
    },
  };
}
