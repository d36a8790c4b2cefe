/** Units in one transaction: more savepoints would overflow PostgreSQL's subtransaction cache. */
const MAX_BATCH = 64;
/** Units under way or waiting over all chains, and on one, before new ones are refused. */
const MAX_PENDING = 4096;
const MAX_PENDING_ON_CHAIN = 1024;
/** Brakes have a bound of their own: ordinary work never sheds them. */
const MAX_BRAKES = 4096;
/** Transactions that only brakes may use. */
const RESERVED = 1;

/** What the queues must know of an entry. */
export interface Queued {
  /** Goes before ordinary entries of its chain, and finds a transaction when those have taken all others. */
  readonly brake: boolean;
  /** Must have its transaction to itself. */
  readonly alone: boolean;
}

interface ChainQueue<T> {
  readonly brakes: T[];
  readonly others: T[];
}

/**
 * Waiting entries by chain. One batch of a chain is out at a time; chains take turns, so that none starves another, and
 * a chain with a brake goes first.
 */
export class ChainQueues<T extends Queued> {
  readonly #limit: number;
  readonly #chains = new Map<string, ChainQueue<T>>();
  readonly #busy = new Set<string>();
  /** Chains with entries and no batch out, in the order of their turns. */
  #ready: string[] = [];
  #brakes = 0;
  #others = 0;

  /** `limit`: batches that may be out at once, apart from those reserved for brakes. */
  constructor(limit: number) {
    this.#limit = limit;
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

  /** The next batch to write, brakes first; undefined when none may be out now. Give it back with `done`. */
  take(): { readonly chain: string; readonly batch: readonly T[] } | undefined {
    const free = this.#busy.size < this.#limit;
    if (!free && this.#busy.size >= this.#limit + RESERVED) return undefined;
    const withBrake = this.#brakes === 0 ? -1 : this.#ready.findIndex((name) => this.#has(name));
    if (withBrake === -1 && !free) return undefined;
    const [chain] = this.#ready.splice(Math.max(withBrake, 0), 1);
    const queue = chain === undefined ? undefined : this.#chains.get(chain);
    if (chain === undefined || queue === undefined) return undefined;
    this.#busy.add(chain);
    const batch = queue.brakes.splice(0, MAX_BATCH);
    if (free) batch.push(...takeOthers(queue.others, batch.length));
    return { chain, batch };
  }

  done(chain: string, batch: readonly T[]): void {
    for (const entry of batch) {
      if (entry.brake) this.#brakes -= 1;
      else this.#others -= 1;
    }
    this.#busy.delete(chain);
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

function takeOthers<T extends Queued>(others: T[], taken: number): T[] {
  const loner = others.slice(0, MAX_BATCH - taken).findIndex((entry) => entry.alone);
  if (loner === -1) return others.splice(0, MAX_BATCH - taken);
  if (loner === 0) return taken === 0 ? others.splice(0, 1) : [];
  return others.splice(0, loner);
}
