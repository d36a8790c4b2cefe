const RUNNING = 0;
const CPU = 1;
const BYTES = 8;

/**
 * Where a worker is in its batch, in memory that both threads see: it is known also when the worker is stuck or dead. One
 * thread writes. Evaluations count from 1; 0 is none.
 */
export class Progress {
  readonly memory: SharedArrayBuffer;
  readonly #cells: Int32Array;

  constructor(memory = new SharedArrayBuffer(BYTES)) {
    this.memory = memory;
    this.#cells = new Int32Array(memory);
  }

  /** The evaluation under way. */
  get running(): number {
    return Atomics.load(this.#cells, RUNNING);
  }

  /** Microseconds from the begin of the evaluation under way to `cpu`, both of the thread's CPU time; less than 71 minutes. */
  usedUntil(cpu: number): number {
    return ((cpu | 0) - Atomics.load(this.#cells, CPU)) >>> 0;
  }

  /** `cpu`: microseconds of CPU the thread has used so far. */
  begin(evaluation: number, cpu: number): void {
    Atomics.store(this.#cells, CPU, cpu | 0);
    Atomics.store(this.#cells, RUNNING, evaluation);
  }

  pause(): void {
    Atomics.store(this.#cells, RUNNING, 0);
  }
}
