import type { Clock } from '../clock.ts';
import { type Signer, SignerError } from '../crypto/signer.ts';
import type { Failpoints } from '../failpoints.ts';
import { StorageError } from '../storage/pg-errors.ts';
import type { Storage } from '../storage/storage.ts';
import { type ChainOutcome, writeBatches } from './batch.ts';
import { AuditError, isUncovered } from './errors.ts';
import { type ChainBatch, ChainQueues, PATIENCE_MS, type Queued, type Turn } from './queue.ts';
import { type Entry, isLate, lateError, type Outcome } from './run-units.ts';
import type { Signing } from './sign-batch.ts';
import { type SigningModeName, signingMode } from './signing-mode.ts';
import { appendFailure } from './store.ts';
import { isPrepared, type PreparedUnit, type Unit } from './unit.ts';

export type { Claim, Lookup, PreparedScope, PreparedUnit, Unit, UnitScope, Write } from './unit.ts';
export { lookupBy } from './unit.ts';

/** ms; a unit that waited this long is refused, so that no caller is told "timeout" for something that then happens. */
const MAX_WAIT_MS = 7000;
/** Transactions that many chains share; more of them would only make each smaller. */
const SHARED_TRANSACTIONS = 3;

export interface AppendObserver {
  batch(size: number): void;
  signed(seconds: number): void;
  signerFailed(): void;
  queueDepth(pending: number): void;
}

export interface AuditAppender {
  /** Runs the unit under its chain's lock and resolves after the commit that holds its changes and events. */
  commit<T, V = never>(unit: Unit<T> | PreparedUnit<T, V>): Promise<T>;
  /** Refuses new units and resolves when the accepted ones are done. */
  close(): Promise<void>;
}

interface Pending extends Queued, Entry {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

export interface AppenderOptions {
  readonly storage: Storage;
  readonly signer: Signer;
  /** Default: event. */
  readonly mode?: SigningModeName | undefined;
  readonly clock: Clock;
  /** Transactions at once, at least 2; below the pool's size. */
  readonly transactions: number;
  readonly observe: AppendObserver;
  readonly failpoints?: Failpoints | undefined;
}

/**
 * Group commit: units that arrive while transactions are under way share the next one, those of one chain and those of
 * different chains. A failure of what they share is found out by running them apart, so that each has its own outcome.
 */
export function createAuditAppender(options: AppenderOptions): AuditAppender {
  const { storage, signer, clock, observe, failpoints } = options;
  const signing: Signing = { signer, mode: signingMode(options.mode ?? 'event') };
  const shared = Math.max(1, Math.min(SHARED_TRANSACTIONS, options.transactions - 1));
  const queues = new ChainQueues<Pending>({ shared, waiting: Math.max(1, options.transactions - shared) });
  let closing: (() => void) | undefined;
  let isPumpDue = false;

  function commit<T, V = never>(unit: Unit<T> | PreparedUnit<T, V>): Promise<T> {
    if (closing !== undefined) return Promise.reject(new AuditError('AUDIT_UNAVAILABLE', 'shutting down'));
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const accepted = queues.push(unit.chain, {
      // The queue holds units of every type; the row that a prepared one gets comes from its own lookup.
      unit: unit as Entry['unit'],
      brake: unit.brake === true,
      // A unit that starts a chain is alone in its transaction, so that its failure takes the new head with it.
      alone: ('creates' in unit && unit.creates === true) || ('alone' in unit && unit.alone === true),
      prepared: isPrepared(unit),
      deadline: performance.now() + MAX_WAIT_MS,
      // The promise is typed by the unit.
      resolve: (value) => resolve(value as T),
      reject,
    });
    if (!accepted) return Promise.reject(new AuditError('OVERLOADED', 'the append queue is full'));
    observe.queueDepth(queues.pending);
    pump();
    return promise;
  }

  function pump(): void {
    const now = performance.now();
    for (let turn = queues.take(now); turn !== undefined; turn = queues.take(now)) void drain(turn);
    if (!queues.isHeldBack || isPumpDue) return;
    isPumpDue = true;
    setTimeout(() => {
      isPumpDue = false;
      pump();
    }, PATIENCE_MS);
  }

  async function drain(turn: Turn<Pending>): Promise<void> {
    const outcomes = await outcomesOf(turn);
    const contended = new Set<string>();
    for (const { chain, entries } of turn.batches) {
      const outcome = outcomes.get(chain);
      if (outcome === 'contended') contended.add(chain);
      else for (const [index, entry] of entries.entries()) settle(entry, outcome?.[index]);
    }
    queues.done(turn, contended);
    observe.queueDepth(queues.pending);
    pump();
    if (queues.pending === 0) closing?.();
  }

  function settle(entry: Pending, outcome: Outcome | undefined): void {
    if (outcome?.ok === true) entry.resolve(outcome.value);
    else entry.reject(outcome?.error ?? new AuditError('AUDIT_UNAVAILABLE', 'no outcome'));
  }

  /** One outcome per entry, whatever happens. */
  async function outcomesOf({ batches, waits }: Turn<Pending>): Promise<ReadonlyMap<string, ChainOutcome>> {
    // Of many that are run apart the last must not wait for a lock, each for itself, long after their time is up.
    if (batches.every(({ entries }) => entries.every(isLate))) return failed(batches, lateError());
    try {
      return await write(batches, signing, waits);
    } catch (error) {
      if (isSignerFailure(error)) observe.signerFailed();
      if (isFinal(error)) return failed(batches, error);
      if (isSignerFailure(error) || (isUncovered(error) && batches.length === 1)) return brakesOnly(batches, error);
      if (batches.length > 1) return eachBy(batches, (batch) => outcomesOf({ batches: [batch], waits: true }));
      return eachUnit(batches[0], error);
    }
  }

  async function write(batches: readonly ChainBatch<Pending>[], by: Signing | undefined, waits: boolean) {
    try {
      const outcomes = await storage.transaction((session) =>
        writeBatches(session, batches, { by, waits }, { clock, failpoints, observe }),
      );
      if (failpoints !== undefined) for (const { chain } of batches) await failpoints('audit.committed', chain);
      return outcomes;
    } catch (error) {
      throw appendFailure(error);
    }
  }

  /** Nothing can be signed, or what is there must not be signed over: brakes commit unsigned, the others fail. */
  async function brakesOnly(batches: readonly ChainBatch<Pending>[], error: unknown) {
    return eachBy(batches, async ({ chain, entries }) => {
      const brakes = entries.filter((entry) => entry.unit.brake === true);
      const stored = brakes.length === 0 ? undefined : await unsigned({ chain, entries: brakes });
      const outcome = (entry: Pending): Outcome => stored?.[brakes.indexOf(entry)] ?? { ok: false, error };
      return new Map([[chain, entries.map(outcome)]]);
    });
  }

  async function unsigned(batch: ChainBatch<Pending>): Promise<readonly Outcome[]> {
    try {
      const outcome = (await write([batch], undefined, true)).get(batch.chain);
      return outcome === undefined || outcome === 'contended' ? [] : outcome;
    } catch (error) {
      return batch.entries.map(() => ({ ok: false, error }));
    }
  }

  async function eachUnit(batch: ChainBatch<Pending> | undefined, error: unknown) {
    if (batch === undefined || batch.entries.length === 1) return failed(batch === undefined ? [] : [batch], error);
    const outcomes: Outcome[] = [];
    for (const entry of batch.entries) {
      const one = await outcomesOf({ batches: [{ chain: batch.chain, entries: [entry] }], waits: true });
      const outcome = one.get(batch.chain);
      outcomes.push(Array.isArray(outcome) ? outcome[0] : { ok: false, error });
    }
    return new Map([[batch.chain, outcomes]]);
  }

  function close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    closing = resolve;
    if (queues.pending === 0) resolve();
    return promise;
  }

  return { commit, close };
}

async function eachBy(
  batches: readonly ChainBatch<Pending>[],
  outcomesOf: (batch: ChainBatch<Pending>) => Promise<ReadonlyMap<string, ChainOutcome>>,
): Promise<ReadonlyMap<string, ChainOutcome>> {
  const outcomes = new Map<string, ChainOutcome>();
  for (const batch of batches) {
    for (const [chain, outcome] of await outcomesOf(batch)) outcomes.set(chain, outcome);
  }
  return outcomes;
}

function failed(batches: readonly ChainBatch<Pending>[], error: unknown): ReadonlyMap<string, ChainOutcome> {
  return new Map(batches.map(({ chain, entries }) => [chain, entries.map(() => ({ ok: false as const, error }))]));
}

function isSignerFailure(error: unknown): boolean {
  return error instanceof SignerError;
}

/** The database is away, or nobody knows what became of the transaction: running it again would help nobody. */
function isFinal(error: unknown): boolean {
  return error instanceof StorageError && error.code === 'DATABASE_UNAVAILABLE' && !error.retryable;
}
