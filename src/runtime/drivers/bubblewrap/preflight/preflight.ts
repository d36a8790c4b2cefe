import type { Clock } from '../../../../clock.ts';
import type { IsolationState } from '../../../isolation.ts';

/**
 * ms after which what could not isolate is tried again, so that a fix is found without a restart: each time twice as long,
 * for it may only have been a machine too busy for a canary.
 */
const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 30_000;

export interface Preflight {
  /** From the last check; waits for the first. */
  state(): Promise<IsolationState>;
  /** Anew; who asks while one is under way gets its outcome. */
  recheck(): Promise<IsolationState>;
  /** Resolves when no check is under way. */
  settled(): Promise<unknown>;
}

/** Keeps the outcome of `check`, which is expensive: what is good stays, what is not is looked at again now and then. */
export function createPreflight(check: () => Promise<IsolationState>, clock: Clock): Preflight {
  let last: { readonly state: IsolationState; readonly at: number } | undefined;
  let retryMs = 0;
  let underWay: Promise<IsolationState> | undefined;
  const recheck = () => {
    underWay ??= check()
      .then((state) => {
        last = { state, at: clock() };
        retryMs = state.available ? 0 : Math.min(Math.max(2 * retryMs, FIRST_RETRY_MS), LAST_RETRY_MS);
        return state;
      })
      .finally(() => {
        underWay = undefined;
      });
    return underWay;
  };
  return {
    recheck,
    settled: async () => underWay?.catch(() => undefined),
    state: async () => {
      if (last === undefined) return recheck();
      const isStale = !last.state.available && Math.abs(clock() - last.at) >= retryMs;
      return isStale ? recheck() : last.state;
    },
  };
}
