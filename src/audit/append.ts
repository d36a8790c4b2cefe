import type { PoolClient } from 'pg';

import type { Clock } from '../clock.ts';
import { type Signer, SignerError } from '../crypto/signer.ts';
import { leaseTrx, type Trx } from '../storage/database.ts';
import type { Storage } from '../storage/storage.ts';
import { ChainDraft, type ChainHead } from './chain.ts';
import { requireGenuine } from './deferred.ts';
import { AuditError } from './errors.ts';
import { type EventInput, type EventReceipt, type SealedEvent, signedBytes } from './event.ts';
import { ChainQueues, type Queued } from './queue.ts';
import { createHead, insertEvents, lockHead } from './store.ts';

/** ms; a unit that waited this long is refused, so that no caller is told "timeout" for something that then happens. */
const MAX_WAIT_MS = 7000;
/** ms; below lock_timeout, so that a dead signer never looks like a dead database. */
const SIGN_DEADLINE_MS = 2000;

/** What a unit of work is given: the open transaction and the one way to write audit events. */
export interface UnitScope {
  readonly trx: Trx;
  /** Milliseconds since the epoch, read once for the unit. */
  readonly now: number;
  append(event: EventInput): EventReceipt;
}

/** What is remembered of a unit with it, such as the answer to a request that may be repeated. */
export interface Claim<T> {
  /** Runs after `work`, on what it resolved to; a rejection is the unit's own, and takes its changes back. */
  store(scope: Pick<UnitScope, 'trx' | 'now'>, value: T): Promise<void>;
}

/** One use case's writes and events on one chain: all of them are committed, or none. */
export interface Unit<T> {
  /** The workspace, or `_system`. */
  readonly chain: string;
  readonly claim?: Claim<T> | undefined;
  /** A restriction or an observed fact: it must not wait for a signer and is then signed later (audit.md). */
  readonly brake?: boolean;
  /** The unit starts the chain (a new workspace). */
  readonly creates?: boolean;
  work(scope: UnitScope): Promise<T>;
}

export interface AppendObserver {
  batch(size: number): void;
  signed(seconds: number): void;
  signerFailed(): void;
  queueDepth(pending: number): void;
}

export interface AuditAppender {
  /** Runs the unit under its chain's lock and resolves after the commit that holds its changes and events. */
  commit<T>(unit: Unit<T>): Promise<T>;
  /** Refuses new units and resolves when the accepted ones are done. */
  close(): Promise<void>;
}

interface Pending extends Queued {
  readonly unit: Unit<unknown>;
  /** By performance.now(): a clock that is set back must not lengthen the wait. */
  readonly deadline: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

type Outcome = { ok: true; value: unknown } | { ok: false; error: unknown };

/**
 * Group commit: units of one chain that arrive while a transaction is under way share the next one. `transactions`
 * bounds how many chains write at once and must stay below the pool's size.
 */
export function createAuditAppender(options: {
  storage: Storage;
  signer: Signer;
  clock: Clock;
  transactions: number;
  observe: AppendObserver;
}): AuditAppender {
  const { storage, signer, clock, observe } = options;
  const queues = new ChainQueues<Pending>(options.transactions);
  let closing: (() => void) | undefined;

  function commit<T>(unit: Unit<T>): Promise<T> {
    if (closing !== undefined) return Promise.reject(new AuditError('AUDIT_UNAVAILABLE', 'shutting down'));
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const accepted = queues.push(unit.chain, {
      unit,
      brake: unit.brake === true,
      // A unit that starts a chain is alone in its transaction, so that its failure takes the new head with it.
      alone: unit.creates === true,
      deadline: performance.now() + MAX_WAIT_MS,
      // The promise is typed by the unit; the queue holds units of every type.
      resolve: (value) => resolve(value as T),
      reject,
    });
    if (!accepted) return Promise.reject(new AuditError('OVERLOADED', 'the append queue is full'));
    observe.queueDepth(queues.pending);
    pump();
    return promise;
  }

  function pump(): void {
    for (let next = queues.take(); next !== undefined; next = queues.take()) void drain(next.chain, next.batch);
  }

  async function drain(chain: string, batch: readonly Pending[]): Promise<void> {
    const outcomes = await writeBatch(chain, batch);
    queues.done(chain, batch);
    observe.queueDepth(queues.pending);
    batch.forEach((entry, index) => {
      const outcome = outcomes[index] ?? { ok: false, error: new AuditError('AUDIT_UNAVAILABLE', 'no outcome') };
      if (outcome.ok) entry.resolve(outcome.value);
      else entry.reject(outcome.error);
    });
    pump();
    if (queues.pending === 0) closing?.();
  }

  /** One outcome per entry, whatever happens: a failure of the transaction is the failure of each unit in it. */
  async function writeBatch(chain: string, batch: readonly Pending[]): Promise<Outcome[]> {
    try {
      return await writeTransaction(chain, batch, signer);
    } catch (error) {
      if (!isSignatureMissing(error)) return batch.map(() => ({ ok: false, error }));
      if (error instanceof SignerError) observe.signerFailed();
      const brakes = batch.filter((entry) => entry.unit.brake === true);
      const deferred = brakes.length === 0 ? [] : await writeDeferred(chain, brakes);
      return batch.map((entry) => deferred[brakes.indexOf(entry)] ?? { ok: false, error });
    }
  }

  async function writeDeferred(chain: string, batch: readonly Pending[]): Promise<Outcome[]> {
    try {
      return await writeTransaction(chain, batch, undefined);
    } catch (error) {
      return batch.map(() => ({ ok: false, error }));
    }
  }

  /** Without a signer the events are stored unsigned and the head remembers the first of them. */
  function writeTransaction(chain: string, batch: readonly Pending[], by: Signer | undefined): Promise<Outcome[]> {
    return storage.transaction(chain, async (_trx, client) => {
      const head = await openHead(client, chain, batch);
      const draft = new ChainDraft(head, by?.signerId ?? null);
      if (by !== undefined) await coverDeferred(client, draft, clock());
      const outcomes = await runUnits(client, draft, batch);
      if (draft.events.length === 0) return outcomes;
      const signatures = by === undefined ? draft.events.map(() => null) : await signAll(by, draft.events);
      const deferredFrom = by === undefined ? (head.deferredFrom ?? draft.events[0]?.seq ?? null) : null;
      const stored = await insertEvents(client, chain, draft.events, signatures, { ...draft.tail, deferredFrom });
      if (!stored) throw new SignerError('the audit signer is not active in the registry');
      observe.batch(draft.events.length);
      return outcomes;
    });
  }

  async function runUnits(client: PoolClient, draft: ChainDraft, batch: readonly Pending[]): Promise<Outcome[]> {
    // A unit alone needs no savepoint: its failure is the transaction's.
    if (batch.length === 1) return [await runUnit(client, draft, batch[0])];
    const outcomes: Outcome[] = [];
    // One round trip a unit: the savepoint of a unit that succeeded is merged as the next one's is set, and after a
    // rollback to it the savepoint still stands.
    let next = 'SAVEPOINT unit';
    for (const entry of batch) {
      const mark = draft.mark();
      if (next !== '') await client.query(next);
      try {
        outcomes.push(await runUnit(client, draft, entry));
        next = 'RELEASE SAVEPOINT unit; SAVEPOINT unit';
      } catch (error) {
        draft.rewind(mark);
        await client.query('ROLLBACK TO SAVEPOINT unit');
        next = '';
        outcomes.push({ ok: false, error });
      }
    }
    return outcomes;
  }

  async function runUnit(client: PoolClient, draft: ChainDraft, entry: Pending | undefined): Promise<Outcome> {
    if (entry === undefined) throw new AuditError('AUDIT_UNAVAILABLE', 'empty batch');
    if (performance.now() > entry.deadline) throw new AuditError('OVERLOADED', 'waited too long for the audit chain');
    const { unit } = entry;
    const now = clock();
    // A lease of its own: what a unit that failed had still in line must not run for its neighbours.
    const { trx, end } = leaseTrx(client);
    try {
      const value = await unit.work({ trx, now, append: (event) => draft.append(event, now) });
      await unit.claim?.store({ trx, now }, value);
      return { ok: true, value };
    } finally {
      end();
    }
  }

  async function signAll(by: Signer, events: readonly SealedEvent[]): Promise<string[]> {
    const started = performance.now();
    const signal = AbortSignal.timeout(SIGN_DEADLINE_MS);
    try {
      const signatures = await Promise.all(events.map((event) => by.sign(signedBytes(event), signal)));
      return signatures.map((signature) => signature.toString('base64'));
    } catch (cause) {
      throw cause instanceof SignerError ? cause : new SignerError('the audit signer failed', { cause });
    } finally {
      observe.signed((performance.now() - started) / 1000);
    }
  }

  function close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    closing = resolve;
    if (queues.pending === 0) resolve();
    return promise;
  }

  return { commit, close };
}

async function openHead(client: PoolClient, chain: string, batch: readonly Pending[]): Promise<ChainHead> {
  const head = await lockHead(client, chain);
  if (head !== undefined) return head;
  const created = batch[0]?.unit.creates === true ? await createHead(client, chain) : undefined;
  const opened = created ?? (await lockHead(client, chain));
  if (opened !== undefined) return opened;
  throw new AuditError('NOT_FOUND', 'no such workspace');
}

/** Permissive units must wait, brakes need not: nothing can be signed, or what is there must not be signed over. */
function isSignatureMissing(error: unknown): boolean {
  return error instanceof SignerError || (error instanceof AuditError && error.code === 'CHAIN_UNCOVERED');
}

/**
 * The first signed event after unsigned ones says which they were; their hashes are bound by the chain. Rejects when they
 * are not what this service writes unsigned: someone else put them there, and our signature would vouch for them.
 */
async function coverDeferred(client: PoolClient, draft: ChainDraft, now: number): Promise<void> {
  const { chain, deferredFrom, seq, hash } = draft.head;
  if (deferredFrom === null) return;
  await requireGenuine(client, { chain, from: deferredFrom, to: seq, hash });
  draft.append(
    {
      type: 'audit.deferred.covered',
      actor: { id: 'castellan', kind: 'system' },
      payload: { from: deferredFrom, to: seq },
    },
    now,
  );
}
