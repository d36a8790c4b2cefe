export interface TimeLimit {
  /** Aborts when time is up or the outer signal aborts. */
  readonly signal: AbortSignal;
  /** Time was up; false when the outer signal was first. */
  expired(): boolean;
  remainingMs(): number;
  end(): void;
}

/** A limit of `ms` inside an outer signal. Leaves neither timer nor listener behind once ended. */
export function limitTime(ms: number, outer: AbortSignal | undefined): TimeLimit {
  const controller = new AbortController();
  const endsAt = performance.now() + ms;
  let expired = false;
  const stop = (): void => controller.abort(outer?.reason);
  const timer = setTimeout(() => {
    expired = outer?.aborted !== true;
    controller.abort(new Error('time is up'));
  }, ms);
  if (outer?.aborted === true) stop();
  else outer?.addEventListener('abort', stop, { once: true });
  return {
    signal: controller.signal,
    expired: () => expired,
    remainingMs: () => Math.max(0, endsAt - performance.now()),
    end: () => {
      clearTimeout(timer);
      outer?.removeEventListener('abort', stop);
    },
  };
}
