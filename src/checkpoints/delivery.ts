import type { Sink } from './sinks/sink.ts';
import type { StoredNote } from './store.ts';

/** ms; longest time of one attempt. */
const ATTEMPT_MS = 10_000;
/** ms; waits between attempts, doubled from the first to the last. */
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 300_000;

export interface DeliveryObserver {
  delivered(sink: string, size: number): void;
  failed(sink: string, error: unknown): void;
}

export interface DeliveryParts {
  readonly sinks: readonly Sink[];
  readonly observe: DeliveryObserver;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Resolves after `ms`, or when the signal fires. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
}

export interface Delivery {
  /** Hands the note to every sink, each in its own time; one that is behind gets the newest only. */
  offer(note: StoredNote): void;
  /** Resolves when nothing waits to be delivered. */
  settled(): Promise<void>;
  /** Gives up what is not delivered. */
  close(): Promise<void>;
}

interface Line {
  readonly sink: Sink;
  pending: StoredNote | undefined;
  running: Promise<void> | undefined;
}

/** Sinks do not wait for one another, and nobody waits for them. */
export function createDelivery({ sinks, observe, random, wait }: DeliveryParts): Delivery {
  const closing = new AbortController();
  const lines = sinks.map((sink): Line => ({ sink, pending: undefined, running: undefined }));

  async function run(line: Line): Promise<void> {
    for (let failures = 0; line.pending !== undefined && !closing.signal.aborted; ) {
      const note = line.pending;
      line.pending = undefined;
      if (await attempt(line.sink, note)) {
        failures = 0;
        continue;
      }
      if (closing.signal.aborted) break;
      line.pending ??= note;
      await wait(backOff(failures) * (0.5 + random() / 2), closing.signal);
      failures += 1;
    }
    line.running = undefined;
  }

  async function attempt(sink: Sink, note: StoredNote): Promise<boolean> {
    try {
      await sink.deliver(note, AbortSignal.any([closing.signal, AbortSignal.timeout(ATTEMPT_MS)]));
      observe.delivered(sink.name, note.size);
      return true;
    } catch (error) {
      if (!closing.signal.aborted) observe.failed(sink.name, error);
      return false;
    }
  }

  return {
    offer: (note) => {
      if (closing.signal.aborted) return;
      for (const line of lines) {
        line.pending = note;
        line.running ??= run(line);
      }
    },
    settled: async () => {
      while (lines.some(({ running }) => running !== undefined)) await Promise.all(lines.map(({ running }) => running));
    },
    close: async () => {
      closing.abort();
      await Promise.all(lines.map(({ running }) => running));
    },
  };
}

function backOff(failures: number): number {
  return Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** failures);
}
