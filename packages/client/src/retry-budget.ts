import { positive } from './options.ts';

export interface BudgetOptions {
  /** Repeats earned by each call. Default 0.1: in a long outage the load rises by a tenth, not eightfold. */
  readonly ratio?: number;
  /** Repeats earned by each second, so that a quiet client can repeat too. Default 10. */
  readonly perSecond?: number;
  /** Repeats that can be saved up, and what a new client begins with. Default 100. */
  readonly capacity?: number;
}

export interface RetryBudget {
  /** A call begins. */
  earn(): void;
  /** False when nothing is left: then the failure is the answer. */
  spend(): boolean;
}

/** A token bucket that all calls of a client share. `now` in ms, monotonic. */
export function createRetryBudget(
  options: BudgetOptions = {},
  now: () => number = () => performance.now(),
): RetryBudget {
  const ratio = positive('retry.budget.ratio', options.ratio, 0.1);
  const perSecond = positive('retry.budget.perSecond', options.perSecond, 10);
  const capacity = positive('retry.budget.capacity', options.capacity, 100);
  let tokens = capacity;
  let filledAt = now();

  const fill = (): void => {
    const at = now();
    tokens = Math.min(capacity, tokens + ((at - filledAt) / 1000) * perSecond);
    filledAt = at;
  };
  return {
    earn: () => {
      fill();
      tokens = Math.min(capacity, tokens + ratio);
    },
    spend: () => {
      fill();
      if (tokens < 1) return false;
      tokens -= 1;
      return true;
    },
  };
}
