import { fullJitter } from './backoff.ts';
import type { Failure } from './failure.ts';
import { positive, type RetryOptions } from './options.ts';
import type { Plan } from './plan.ts';
import { createRetryBudget } from './retry-budget.ts';
import type { Servers } from './servers.ts';

/** What one call has been through. */
export interface RetryState {
  attempts: number;
  repeats: number;
  failovers: number;
  doubtful: boolean;
  /** By server, monotonic ms: not before this time, as the service asked. */
  readonly notBefore: Map<string, number>;
}

export interface RetryStep {
  readonly delayMs: number;
  readonly failover: boolean;
}

export interface RetryPolicy {
  begin(): RetryState;
  /** How to go on after a failure, or undefined when it is the end. */
  next(plan: Plan, failure: Failure, state: RetryState, server: string, remainingMs: number): RetryStep | undefined;
  /** An attempt was made that the service may have acted on. */
  maybeApplied(state: RetryState): boolean;
}

export function createRetryPolicy(
  options: RetryOptions,
  servers: Servers,
  random: () => number = Math.random,
  now: () => number = () => performance.now(),
): RetryPolicy {
  const maxAttempts = positive('retry.maxAttempts', options.maxAttempts, 8);
  const baseMs = positive('retry.baseDelayMs', options.baseDelayMs, 100);
  const maxMs = positive('retry.maxDelayMs', options.maxDelayMs, 5000);
  const budget = createRetryBudget(options.budget);

  return {
    begin: () => {
      budget.earn();
      return { attempts: 0, repeats: 0, failovers: 0, doubtful: false, notBefore: new Map() };
    },
    maybeApplied: (state) => state.doubtful,
    next: (plan, failure, state, server, remainingMs) => {
      const { error } = failure;
      if (!failure.nothingDone) state.doubtful = true;
      if (isServersFault(failure)) servers.failed(server);
      const ended = error.kind === 'aborted' || remainingMs <= 0;
      if (ended || (!failure.nothingDone && !plan.repeatable)) return undefined;
      // Each server sees the call once at most, so it adds load to none: free, and at once.
      if (failure.unsent && error.kind === 'connection' && state.failovers < servers.count - 1) {
        state.failovers += 1;
        return { delayMs: 0, failover: true };
      }
      if (!error.retryable || state.repeats + 1 >= maxAttempts) return undefined;
      state.repeats += 1;
      return paid(wait(error.retryAfterMs, error.status, state, server), remainingMs);
    },
  };

  function wait(retryAfter: number | undefined, status: number | undefined, state: RetryState, server: string): number {
    const jitter = fullJitter(state.repeats, baseMs, maxMs, random);
    // A 429 is about the caller, whichever server says it; a 503 is about the server.
    if (retryAfter !== undefined && status === 429) {
      return retryAfter + jitter;
    }
    if (retryAfter !== undefined) state.notBefore.set(server, now() + retryAfter);
    const asked = (state.notBefore.get(servers.pick(state.notBefore)) ?? 0) - now();
    return asked > 0 ? asked + jitter : jitter;
  }

  // A wait that ends after the deadline is no use: the failure at hand is the better answer, and now.
  function paid(delayMs: number, remainingMs: number): RetryStep | undefined {
    return delayMs < remainingMs && budget.spend() ? { delayMs, failover: false } : undefined;
  }
}

function isServersFault({ error }: Failure): boolean {
  return error.kind === 'connection' || error.code === 'ATTEMPT_TIMEOUT' || error.status === 503;
}
