import type { Logger } from '../logger.ts';

/** ms; contract §2: a second signal or this long after the first ends the process. */
const DRAIN_LIMIT_MS = 30_000;

export interface StopSignal {
  /** Resolves at the first signal. */
  readonly signal: Promise<void>;
  /** True from the first signal on: a start-up under way need not go on. */
  readonly requested: boolean;
}

/**
 * Waits for SIGTERM or SIGINT, so that the caller can drain and close in order. A second signal, or 30 s, ends the
 * process with 1. Call it before anything is started: a signal during start-up then still closes what is open.
 */
export function stopSignal(logger: Logger): StopSignal {
  const { promise, resolve } = Promise.withResolvers<void>();
  let signalled = false;
  const onSignal = (signal: NodeJS.Signals) => {
    if (signalled) {
      logger.warn({ signal }, 'second signal: ending now');
      process.exit(1);
    }
    signalled = true;
    logger.info({ signal }, 'draining');
    setTimeout(() => {
      logger.error('draining took too long: ending now');
      process.exit(1);
    }, DRAIN_LIMIT_MS).unref();
    resolve();
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  return {
    signal: promise,
    get requested() {
      return signalled;
    },
  };
}
