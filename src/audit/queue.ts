/** Units in one transaction: more savepoints would overflow PostgreSQL's subtransaction cache. */
const MAX_BATCH = 64;
/** Units under way or waiting over all chains, and on one, before new ones are refused. */
const MAX_PENDING = 4096;
const MAX_PENDING_ON_CHAIN = 1024;
/** Brakes have a bound of their own: ordinary work never sheds them. */
const MAX_BRAKES = 4096;
/** Transactions that only brakes may use. */
const RESERVED = 1;
/** Prepared entries for which another shared transaction is begun beside those that are out; fewer wait for the end of one, */
const WORTH_ANOTHER = 48;
/** but not longer than this, in ms: one that is slow must not hold up all chains. */
export const PATIENCE_MS = 50;

/** What the queues must know of an entry. */
export interface Queued {
  /** Goes before ordinary entries of its chain, and finds a transaction when those have taken all others. */
  readonly brake: boolean;
  /** Must have its transaction to itself. */
  readonly alone: boolean;
  /** Sends no statements of its own, which those that share its transaction would wait for. */
  readonly prepared: boolean;
}

interface ChainQueue<T> {
  readonly brakes: T[];
  readonly others: T[];
}

/** Entries of one chain that go into one transaction, in that order. */
export interface ChainBatch<T> {
  readonly chain: string;
  readonly entries: readonly T[];
}

/** What goes into one transaction: several chains together, or one that may wait for its lock. */
export interface Turn<T> {
  readonly batches: readonly ChainBatch<T>[];
  /** One chain alone, whose lock another process seems to hold: only such a turn waits for it. */
  readonly waits: boolean;
}

/**
 * Waiting entries by chain. One batch of a chain is out at a time; chains take turns, so that none starves another, and
 * chains with brakes go first. Chains share transactions; one whose lock could not be had is then taken by itself, so
 * that no other chain waits with it.
 */
export class ChainQueues<T extends Queued> {
  readonly #shared: number;
  readonly #waiting: number;
  readonly #chains = new Map<string, ChainQueue<T>>();
  readonly #busy = new Set<string>();
  /** Chains with entries and no batch out, in the order of their turns. */
  #ready: string[] = [];
  /** Ready chains that must go by themselves. */
  #contended: string[] = [];
  #sharedOut = 0;
  /** When a shared transaction of more than brakes was last begun. */
  #takenAt = 0;
  #waitingOut = 0;
  #brakes = 0;
  #others = 0;

  /** `shared` and `waiting`: transactions of each kind that may be out at once, apart from the one kept for brakes. */
  constructor(limits: { readonly shared: number; readonly waiting: number }) {
    this.#shared = limits.shared;
    this.#waiting = limits.waiting;
  }

  /** Entries waiting or out. */
  get pending(): number {
    return this.#brakes + this.#others;
  }

  /** False, and nothing added, when there is no room. */
  push(chain: string, entry: T): boolean {
    const queue = this.#chains.get(chain) ?? { brakes: [], others: [] };
    if (entry.brake ? this.#brakes >= MAX_BRAKES : this.#isFull(queue)) return false;
    this.#chains.set(chain, queue);
    if (queue.brakes.length + queue.others.length === 0 && !this.#busy.has(chain)) this.#ready.push(chain);
    if (entry.brake) {
      this.#brakes += 1;
      queue.brakes.push(entry);
    } else {
      this.#others += 1;
      queue.others.push(entry);
    }
    return true;
  }

  /** Something waits that could be taken later, whether or not anything is given back. */
  get isHeldBack(): boolean {
    return this.#ready.length > 0 && this.#sharedOut > 0 && this.#sharedOut < this.#shared;
  }

  /**
   * What to write next, brakes first; undefined when nothing may be out now. Give it back with `done`. `now`: ms of a
   * monotonic clock.
   */
  take(now: number): Turn<T> | undefined {
    return this.#takeContended() ?? this.#takeTogether(now);
  }

  /** `contended`: chains of the turn whose lock could not be had; their entries stay first in line. */
  done(turn: Turn<T>, contended: ReadonlySet<string> = new Set()): void {
    if (turn.waits) this.#waitingOut -= 1;
    else this.#sharedOut -= 1;
    for (const { chain, entries } of turn.batches) {
      this.#busy.delete(chain);
      if (contended.has(chain)) this.#putBack(chain, entries);
      else this.#settle(chain, entries);
    }
  }

  #takeContended(): Turn<T> | undefined {
    const [chain] = this.#contended;
    if (chain === undefined || this.#waitingOut >= this.#waiting + (this.#has(chain) ? RESERVED : 0)) return undefined;
    this.#contended.shift();
    this.#waitingOut += 1;
    return { batches: [this.#takeChain(chain, MAX_BATCH, this.#waitingOut > this.#waiting)], waits: true };
  }

  #takeTogether(now: number): Turn<T> | undefined {
    const onlyBrakes = this.#sharedOut >= this.#shared || (this.#sharedOut > 0 && !this.#isWorthAnother(now));
    if (onlyBrakes && this.#sharedOut >= this.#shared + RESERVED) return undefined;
    const batches: ChainBatch<T>[] = [];
    let room = MAX_BATCH;
    for (const chain of this.#inTurn(onlyBrakes)) {
      const first = this.#chains.get(chain);
      const loner = first !== undefined && first.brakes.length === 0 && first.others[0]?.alone === true;
      if (loner && batches.length > 0) continue;
      const batch = this.#takeChain(chain, room, onlyBrakes);
      batches.push(batch);
      room -= batch.entries.length;
      if (loner || room === 0) break;
    }
    if (batches.length === 0) return undefined;
    const taken = new Set(batches.map((batch) => batch.chain));
    this.#ready = this.#ready.filter((chain) => !taken.has(chain));
    this.#sharedOut += 1;
    // Brakes that find a transaction at any time must not keep the others waiting for ever.
    if (!onlyBrakes) this.#takenAt = now;
    return { batches, waits: false };
  }

  /** What every transaction costs is a third of its work when it holds ten entries: under load they must not be many and small. */
  #isWorthAnother(now: number): boolean {
    if (now - this.#takenAt >= PATIENCE_MS) return true;
    let waiting = 0;
    for (const chain of this.#ready) {
      const { brakes = [], others = [] } = this.#chains.get(chain) ?? {};
      waiting += brakes.length + others.length;
      if (waiting >= WORTH_ANOTHER || others.some((entry) => !entry.prepared)) return true;
    }
    return false;
  }

  /** Ready chains, those with brakes before the others. */
  #inTurn(onlyBrakes: boolean): string[] {
    if (this.#brakes === 0) return onlyBrakes ? [] : [...this.#ready];
    const braking = this.#ready.filter((chain) => this.#has(chain));
    return onlyBrakes ? braking : [...braking, ...this.#ready.filter((chain) => !this.#has(chain))];
  }

  #takeChain(chain: string, room: number, onlyBrakes: boolean): ChainBatch<T> {
    this.#busy.add(chain);
    const queue = this.#chains.get(chain) ?? { brakes: [], others: [] };
    const entries = queue.brakes.splice(0, room);
    if (!onlyBrakes) entries.push(...takeOthers(queue.others, entries.length, room));
    return { chain, entries };
  }

  #putBack(chain: string, entries: readonly T[]): void {
    const queue = this.#chains.get(chain) ?? { brakes: [], others: [] };
    this.#chains.set(chain, queue);
    queue.brakes.unshift(...entries.filter((entry) => entry.brake));
    queue.others.unshift(...entries.filter((entry) => !entry.brake));
    this.#contended.push(chain);
  }

  #settle(chain: string, entries: readonly T[]): void {
    for (const entry of entries) {
      if (entry.brake) this.#brakes -= 1;
      else this.#others -= 1;
    }
    const queue = this.#chains.get(chain);
    if (queue === undefined) return;
    if (queue.brakes.length + queue.others.length > 0) this.#ready.push(chain);
    else this.#chains.delete(chain);
  }

  #isFull(queue: ChainQueue<T>): boolean {
    return this.#others >= MAX_PENDING || queue.others.length >= MAX_PENDING_ON_CHAIN;
  }

  #has(chain: string): boolean {
    return (this.#chains.get(chain)?.brakes.length ?? 0) > 0;
  }
}

function takeOthers<T extends Queued>(others: T[], taken: number, room: number): T[] {
  const loner = others.slice(0, room - taken).findIndex((entry) => entry.alone);
  if (loner === -1) return others.splice(0, room - taken);
  if (loner === 0) return taken === 0 ? others.splice(0, 1) : [];
  return others.splice(0, loner);
}
