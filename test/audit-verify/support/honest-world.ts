import type { EventInput, EventReceipt } from '../../../src/audit/event.ts';
import type { SigningModeName } from '../../../src/audit/signing-mode.ts';
import { openRemoval, type Removal } from '../../../src/retention/removal.ts';
import type { TestDatabase } from '../../support/database.ts';
import { ChainModel } from './honest-model.ts';
import { type HonestKey, honestKey, openReplica, type Replica } from './honest-replica.ts';

const START = Date.parse('2026-03-01T00:00:00.000Z');
/** ms; more than clocks differ. */
const APART = 10_000;

/** Until when a key was surely in nobody else's hands, and how long the chains were then. */
interface Mark {
  readonly at: string;
  readonly sizes: ReadonlyMap<string, number>;
}

/** Two replicas over one database, and what is known of it from what was done. */
export class HonestWorld {
  readonly database: TestDatabase;
  readonly chains = new Map<string, ChainModel>();
  readonly removal: Removal;
  /** Audit keys by what the registry has to say of them. */
  readonly states = new Map<HonestKey, 'pending' | 'inForce' | 'ended' | 'compromised'>();
  pending: HonestKey | undefined;
  mark: Mark | undefined;
  readonly #skews: readonly number[];
  readonly #keys = { proof: honestKey('proof-1'), checkpoint: honestKey('checkpoint-1') };
  readonly #replicas: Replica[] = [];
  #now = START;

  static async open(
    database: TestDatabase,
    { skews, modes }: { skews: readonly number[]; modes: readonly SigningModeName[] },
  ): Promise<HonestWorld> {
    const world = new HonestWorld(database, skews, await openRemoval(database.superuserUrl));
    const key = world.newKey();
    for (const [index, mode] of modes.entries()) await world.boot(index, key, mode);
    world.states.set(key, 'inForce');
    return world;
  }

  private constructor(database: TestDatabase, skews: readonly number[], removal: Removal) {
    this.database = database;
    this.#skews = skews;
    this.removal = removal;
  }

  newKey(): HonestKey {
    return honestKey(`audit-${this.states.size + 1}`);
  }

  chain(name: string): ChainModel {
    const known = this.chains.get(name) ?? new ChainModel();
    this.chains.set(name, known);
    return known;
  }

  pass(ms: number): void {
    this.#now += ms;
  }

  replica(index: number): Replica {
    const replica = this.#replicas[index];
    if (replica === undefined) throw new Error(`no replica ${index}`);
    return replica;
  }

  get replicas(): readonly Replica[] {
    return this.#replicas;
  }

  signs({ key, outage }: Replica): boolean {
    return !outage.on && !key.lost && this.states.get(key) === 'inForce';
  }

  /** That one if it can sign, else the other; undefined when neither can. */
  signing(index: number): Replica | undefined {
    return [this.replica(index), this.replica(1 - index)].find((replica) => this.signs(replica));
  }

  /** Ends the process of that place, and starts another. */
  async boot(index: number, audit: HonestKey, mode: SigningModeName): Promise<Replica> {
    await this.#replicas[index]?.close();
    const { database } = this;
    const clock = () => this.#now + (this.#skews[index] ?? 0);
    const appended = (receipt: EventReceipt, event: EventInput) => this.chain(receipt.chain).appended(receipt, event);
    const replica = await openReplica({ database, clock, mode, audit, ...this.#keys, appended });
    this.#replicas[index] = replica;
    return replica;
  }

  /** Everything so far is in the log of checkpoints, and everything after it is dated later on any clock. */
  async setMark(index: number): Promise<Mark> {
    await this.replica(index).round();
    this.pass(APART);
    const at = new Date(this.#now).toISOString();
    this.pass(APART);
    const { rows } = await this.database.query('SELECT chain, seq FROM audit_heads');
    this.mark = { at, sizes: new Map(rows.map(({ chain, seq }) => [chain, Number(seq)])) };
    return this.mark;
  }

  /** What the key signed after the mark is in doubt from now on; gives on how many chains. */
  async distrust(key: HonestKey, { sizes }: Mark): Promise<number> {
    this.states.set(key, 'compromised');
    const text =
      'SELECT chain, array_agg(seq ORDER BY seq)::int[] AS seqs FROM audit_events WHERE signer_id = $1 GROUP BY 1';
    let chains = 0;
    for (const { chain, seqs } of (await this.database.query(text, [key.signerId])).rows) {
      const late = (seqs as number[]).filter((seq) => seq > (sizes.get(chain) ?? 0));
      this.chain(chain).doubtful.set(key.signerId, late);
      if (late.length > 0) chains += 1;
    }
    return chains;
  }

  async close(): Promise<void> {
    for (const replica of this.#replicas) await replica.close();
    await this.removal.close();
  }
}
