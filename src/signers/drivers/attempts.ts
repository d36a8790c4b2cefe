import { setTimeout as delay } from 'node:timers/promises';
import { SignerError } from '../../crypto/signer.ts';

/** ms; the wait before the next attempt is random, up to the first of these, doubled each time up to the second. */
const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 400;

/** A failure that may be gone at the next attempt: no connection, throttled, the other side's own fault. */
export class TransientFailure extends SignerError {
  /** ms before which the other side does not want to be asked again. */
  readonly retryAfterMs: number;

  constructor(message: string, options: { cause?: unknown; retryAfterMs?: number | undefined } = {}) {
    super(message, options);
    this.retryAfterMs = options.retryAfterMs ?? 0;
  }
}

export interface TimeLimits {
  /** ms for everything that is tried. */
  readonly deadlineMs: number;
  /** The caller's own; whichever comes first counts. */
  readonly signal?: AbortSignal | undefined;
  /** Waited for before each attempt; what is waited here does not count against the attempt. */
  readonly leave?: (signal: AbortSignal) => Promise<void>;
}

/**
 * What `attempt` gives, tried again after a TransientFailure for as long as the time lasts. Rejects with SignerError when
 * the time is up, whether or not the attempt minds its signal.
 */
export function withAttempts<T>(attempt: (signal: AbortSignal) => Promise<T>, limits: TimeLimits): Promise<T> {
  const { deadlineMs, signal, leave } = limits;
  const end = performance.now() + deadlineMs;
  let last: TransientFailure | undefined;

  async function insist(whole: AbortSignal): Promise<T> {
    for (let maxPauseMs = FIRST_PAUSE_MS; ; maxPauseMs = Math.min(MAX_PAUSE_MS, maxPauseMs * 2)) {
      await leave?.(whole);
      // Half the time each: one dead connection must not use up all of it.
      const outcome = await within(deadlineMs / 2, whole, attempt, noAnswer).catch(onlyTransient);
      if (!(outcome instanceof TransientFailure)) return outcome;
      last = outcome;
      // Full jitter: signatures that failed together do not come back together.
      const pauseMs = Math.max(outcome.retryAfterMs, Math.random() * maxPauseMs);
      if (performance.now() + pauseMs >= end) throw outcome;
      await delay(pauseMs, undefined, { signal: whole });
    }
  }

  return within(deadlineMs, signal, insist, (reason) => {
    const why = last === undefined ? '' : `: ${last.message}`;
    return new SignerError(`not done in time${why}`, { cause: last ?? reason });
  });
}

/** Runs `work` until `ms` are over or `outer` fires, then rejects with what `late` makes of the reason. */
async function within<T>(
  ms: number,
  outer: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
  late: (reason: unknown) => SignerError,
): Promise<T> {
  const controller = new AbortController();
  const { promise: over, reject } = Promise.withResolvers<never>();
  const end = (reason: unknown) => {
    reject(late(reason));
    controller.abort(reason);
  };
  const timer = setTimeout(() => end(new Error(`${ms} ms are over`)), ms);
  const follow = () => end(outer?.reason);
  if (outer?.aborted) follow();
  outer?.addEventListener('abort', follow, { once: true });
  try {
    return await Promise.race([over, work(controller.signal)]);
  } finally {
    clearTimeout(timer);
    // One signal serves a whole batch: its listeners must not pile up.
    outer?.removeEventListener('abort', follow);
  }
}

function noAnswer(reason: unknown): TransientFailure {
  return new TransientFailure('no answer in time', { cause: reason });
}

function onlyTransient(error: unknown): TransientFailure {
  if (error instanceof TransientFailure) return error;
  throw error;
}
