/** Part of the interval by which a round may come early or late, so that replicas drift apart. */
const JITTER = 0.2;

export interface PeriodicTask {
  readonly name: string;
  /** Ms from the end of one round to the start of the next. */
  readonly everyMs: number;
  /** One bounded round. The signal fires when the runner stops. */
  run(signal: AbortSignal): Promise<void>;
}

export interface PeriodicObserver {
  finished(name: string, seconds: number): void;
  failed(name: string, error: unknown): void;
}

export interface PeriodicRunner {
  start(): void;
  /** No round begins any more; resolves when those under way have ended. */
  stop(): Promise<void>;
}

/**
 * Runs each task again and again, never beside itself. A round that fails is reported and the next one comes all the
 * same. The timers do not keep the process alive. `random` is uniform in [0, 1).
 */
export function createPeriodicRunner(options: {
  tasks: readonly PeriodicTask[];
  observe: PeriodicObserver;
  random: () => number;
}): PeriodicRunner {
  const { tasks, observe, random } = options;
  const stopping = new AbortController();
  const timers = new Map<string, NodeJS.Timeout>();
  const running = new Map<string, Promise<void>>();
  const names = new Set(tasks.map((task) => task.name));
  if (names.size !== tasks.length) throw new RangeError('two periodic tasks have one name');

  function schedule(task: PeriodicTask): void {
    if (stopping.signal.aborted) return;
    const delay = task.everyMs * (1 + JITTER * (2 * random() - 1));
    const timer = setTimeout(() => {
      timers.delete(task.name);
      const round = runOnce(task).finally(() => {
        running.delete(task.name);
        schedule(task);
      });
      running.set(task.name, round);
    }, delay);
    timer.unref();
    timers.set(task.name, timer);
  }

  async function runOnce(task: PeriodicTask): Promise<void> {
    const started = performance.now();
    try {
      await task.run(stopping.signal);
      observe.finished(task.name, (performance.now() - started) / 1000);
    } catch (error) {
      observe.failed(task.name, error);
    }
  }

  function start(): void {
    for (const task of tasks) {
      if (!timers.has(task.name) && !running.has(task.name)) schedule(task);
    }
  }

  async function stop(): Promise<void> {
    stopping.abort();
    for (const timer of timers.values()) clearTimeout(timer);
    timers.clear();
    await Promise.all(running.values());
  }

  return { start, stop };
}
