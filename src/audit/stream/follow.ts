import { Batch } from './batch.ts';
import type { Destination } from './destination.ts';
import { StreamError } from './errors.ts';
import type { LogHead, LogReader } from './log-reader.ts';
import type { StreamPosition, StreamPositions } from './state.ts';
import { type StreamedEvent, streamedEvent } from './streamed-event.ts';

/** ms between two looks at the heads when nothing was new. */
const POLL_MS = 1000;
/** ms; waits while the database is away, doubled from the first to the last. */
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;
const NO_EVENT_YET: StreamPosition = { seq: 0, hash: '0'.repeat(64) };

export interface FollowOptions {
  readonly open: () => Promise<LogReader>;
  /** Where an earlier run has left off; undefined: there was none. */
  readonly known: StreamPositions | undefined;
  /** Where chains begin that `known` does not have; undefined: at the end on a first run, else with their first event. */
  readonly from: number | undefined;
  readonly form: (event: StreamedEvent) => string;
  readonly destination: Destination;
  /** Keeps what was delivered. */
  readonly save: (positions: StreamPositions) => Promise<void>;
  /** Ends when the end of the log at its beginning was reached. */
  readonly once: boolean;
  /** Fires when the stream is to end: what is under way is finished first. */
  readonly stop: AbortSignal;
  readonly wait: (ms: number) => Promise<void>;
  /** Tells a person. */
  readonly say: (text: string) => void;
}

export interface Followed {
  readonly delivered: number;
  /** Events were not there any more, at the front of a chain; or there was no chain at all when the stream began. */
  readonly missing: boolean;
  /** Chains that do not go on from what was delivered, and are not streamed. */
  readonly broken: readonly string[];
}

/** Streams events of each chain in the order of seq, each at least once, until it is stopped. Rejects with StreamError. */
export async function follow(options: FollowOptions): Promise<Followed> {
  const { once, stop, say } = options;
  const stream = new Stream(options);
  let reader: LogReader | undefined;
  try {
    for (let failures = 0; !stop.aborted; ) {
      try {
        reader ??= await options.open();
        const added = await stream.pass(reader);
        if (failures > 0) say('the database is back');
        failures = 0;
        if (once) break;
        if (added === 0) await pause(options, POLL_MS);
      } catch (error) {
        if (once || !(error instanceof StreamError && error.code === 'AWAY')) throw error;
        if (failures === 0) say(error.message);
        await reader?.close();
        reader = undefined;
        await pause(options, Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** failures));
        failures += 1;
      }
    }
  } finally {
    await reader?.close();
  }
  return stream;
}

/** A wait that the end of the stream cuts short. */
async function pause({ wait, stop }: FollowOptions, ms: number): Promise<void> {
  try {
    await wait(ms);
  } catch (error) {
    if (!stop.aborted) throw error;
  }
}

class Stream implements Followed {
  delivered = 0;
  missing = false;
  readonly #options: FollowOptions;
  readonly #positions: Map<string, StreamPosition>;
  readonly #broken = new Map<string, string>();
  #began = false;

  constructor(options: FollowOptions) {
    this.#options = options;
    this.#positions = new Map(options.known);
  }

  get broken(): readonly string[] {
    return [...this.#broken.keys()];
  }

  /** Delivers what the heads are ahead of the positions; gives the number of events. */
  async pass(reader: LogReader): Promise<number> {
    const heads = await reader.heads();
    if (!this.#began) await this.#begin(heads);
    const before = this.delivered;
    let batch = new Batch();
    for (const head of heads) {
      for await (const event of this.#eventsOf(reader, head)) {
        const item = { id: event.id, text: this.#options.form(event) };
        if (!batch.fits(item)) {
          if (!(await this.#deliver(batch))) return this.delivered - before;
          batch = new Batch();
        }
        batch.add(event, item);
      }
      if (this.#options.stop.aborted) break;
    }
    await this.#deliver(batch);
    return this.delivered - before;
  }

  /** A chain that comes later is streamed whole; one that was there before the stream is taken up where that was asked for. */
  async #begin(heads: readonly LogHead[]): Promise<void> {
    const { known, from, say, save } = this.#options;
    for (const { chain, seq, hash } of heads) {
      if (this.#positions.has(chain)) continue;
      if (from !== undefined) this.#positions.set(chain, before(from));
      else if (known === undefined) this.#positions.set(chain, seq === 0 ? NO_EVENT_YET : { seq, hash });
    }
    if (heads.length === 0) {
      this.missing = true;
      say('there is no chain to stream');
    }
    if (known === undefined) {
      const where = from === undefined ? 'the end: what is there already is not streamed' : `seq ${from}`;
      say(`no state: ${heads.length} chains, each from ${where}`);
      await save(this.#positions);
    }
    this.#began = true;
  }

  /** The events between a chain's position and its head, as long as each follows the one before it. */
  async *#eventsOf(reader: LogReader, head: LogHead): AsyncGenerator<StreamedEvent> {
    const { chain } = head;
    let last = this.#positions.get(chain) ?? NO_EVENT_YET;
    if (head.seq < last.seq) {
      if (last.hash === null) return; // asked to begin at an event that is still to come
      return this.#break(chain, `its head is at seq ${head.seq}, and seq ${last.seq} was delivered before`);
    }
    if (head.seq === last.seq && last.hash !== null && head.hash !== last.hash) {
      return this.#break(chain, `seq ${last.seq} is another event than the one that was delivered`);
    }
    while (last.seq < head.seq && !this.#options.stop.aborted) {
      const rows = await reader.page(chain, last.seq);
      for (const row of rows) {
        if (row.seq > last.seq + 1) {
          const gone = await reader.gone(chain);
          if (row.seq - 1 > gone) return this.#break(chain, `seq ${Math.max(last.seq, gone) + 1} is missing`);
          this.missing = true;
          this.#options.say(
            `chain ${chain}: seq ${last.seq + 1} to ${row.seq - 1} are gone from the log; going on at ${row.seq}`,
          );
          last = { seq: row.seq - 1, hash: null };
        }
        const event = streamedEvent(chain, row);
        if (event === undefined) return this.#break(chain, `seq ${row.seq} is no event`);
        if (last.hash !== null && event.prevHash !== last.hash) {
          return this.#break(chain, `seq ${row.seq} does not follow the event before it`);
        }
        last = { seq: event.seq, hash: event.hash };
        yield event;
      }
      if (rows.length === 0) return this.#break(chain, `seq ${last.seq + 1} is missing`);
    }
    if (this.#broken.delete(chain)) this.#options.say(`chain ${chain} goes on`);
  }

  /** Said once; looked at again with every pass, for a copy of the database that is behind catches up. */
  #break(chain: string, why: string): void {
    if (this.#broken.get(chain) !== why) {
      this.#options.say(`chain ${chain} is not streamed: ${why}; run castellan audit verify`);
    }
    this.#broken.set(chain, why);
  }

  /** False when the stream was stopped before the batch was taken. */
  async #deliver({ items, positions }: Batch): Promise<boolean> {
    if (items.length === 0) return true;
    try {
      await this.#options.destination.deliver(items);
    } catch (error) {
      if (this.#options.stop.aborted && !(error instanceof StreamError)) return false;
      throw error;
    }
    for (const [chain, position] of positions) this.#positions.set(chain, position);
    this.delivered += items.length;
    await this.#options.save(this.#positions);
    return true;
  }
}

function before(seq: number): StreamPosition {
  return seq === 1 ? NO_EVENT_YET : { seq: seq - 1, hash: null };
}
