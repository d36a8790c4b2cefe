/** When a process that ended is launched again, and when no more. */
export interface RestartPolicy {
  /** ms before the first launch after an end; each further one waits twice as long, */
  readonly firstMs: number;
  /** but never longer than this. */
  readonly maxMs: number;
  /** ms that a process must have run for its end to be the first again. */
  readonly healthyMs: number;
  /** Ends in a row, each sooner than that, after which it is given up. */
  readonly attempts: number;
}

/** 0.5, 1, 2, 4, 8, 16 and 32 s, about a minute in all: then somebody has to look at it. */
export const RESTARTS: RestartPolicy = { firstMs: 500, maxMs: 60_000, healthyMs: 60_000, attempts: 8 };
/** Part of a wait by which it is shorter or longer, so that replicas of one agent drift apart. */
const JITTER = 0.2;

export interface Backoff {
  /** Ends in a row. */
  readonly failures: number;
  /** After a process that ran for `ranMs`; ms to wait, or undefined when it is given up. */
  ended(ranMs: number): number | undefined;
  /** What could not be tried counts as no attempt, but is waited for as long. */
  postponed(): number;
}

/** `random` is uniform in [0, 1). */
export function createBackoff(policy: RestartPolicy, random: () => number): Backoff {
  let failures = 0;
  let postponements = 0;
  const wait = (count: number) => {
    const full = Math.min(policy.maxMs, policy.firstMs * 2 ** Math.min(count - 1, 30));
    return Math.round(full * (1 + JITTER * (2 * random() - 1)));
  };
  return {
    get failures() {
      return failures;
    },
    ended: (ranMs) => {
      postponements = 0;
      failures = ranMs >= policy.healthyMs ? 1 : failures + 1;
      return failures >= policy.attempts ? undefined : wait(failures);
    },
    postponed: () => {
      postponements += 1;
      return wait(failures + postponements);
    },
  };
}
