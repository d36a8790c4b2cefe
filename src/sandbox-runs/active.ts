import { RunOutput } from './output.ts';
import type { RunPlan } from './plan.ts';
import type { Place } from './queue.ts';
import type { RunKey } from './units.ts';

/** Where a run gets its place: it has one, or waits for it. */
export interface PlaceToBe {
  readonly place: Promise<Place | undefined>;
  leave(): void;
}

/** A run of this process, from its row to its end. */
export class ActiveRun {
  readonly key: RunKey;
  readonly plan: RunPlan;
  readonly output = new RunOutput();
  readonly #controller = new AbortController();
  readonly #done = Promise.withResolvers<void>();
  readonly #placeToBe: PlaceToBe;
  #cause: string | undefined;

  constructor(key: RunKey, plan: RunPlan, placeToBe: PlaceToBe) {
    this.key = key;
    this.plan = plan;
    this.#placeToBe = placeToBe;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Why it is to end before its time. */
  get cause(): string | undefined {
    return this.#cause;
  }

  /** Undefined: it left the line. */
  get place(): Promise<Place | undefined> {
    return this.#placeToBe.place;
  }

  /** Resolves once its end is kept, here or by somebody else. */
  get done(): Promise<void> {
    return this.#done.promise;
  }

  /** The first cause counts. */
  cancel(cause: string): void {
    if (this.#cause !== undefined) return;
    this.#cause = cause;
    this.#controller.abort(new Error(`the run is cancelled: ${cause}`));
    this.#placeToBe.leave();
  }

  ended(endData: string): void {
    this.output.end(endData);
    this.#done.resolve();
  }
}

/** A place that is there. */
export function atOnce(place: Place): PlaceToBe {
  return { place: Promise.resolve(place), leave: () => undefined };
}
