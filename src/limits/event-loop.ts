import { monitorEventLoopDelay } from 'node:perf_hooks';

const RESOLUTION_MS = 10;

/** Ms the event loop was late on average since it was asked last; undefined when there is no telling. */
export interface EventLoopDelay {
  read(): number | undefined;
  stop(): void;
}

export function measureEventLoopDelay(): EventLoopDelay {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  return {
    read: () => {
      // The histogram holds the whole time between two looks of its own.
      const delayMs = histogram.mean / 1e6 - RESOLUTION_MS;
      histogram.reset();
      return Number.isFinite(delayMs) ? Math.max(0, delayMs) : undefined;
    },
    stop: () => void histogram.disable(),
  };
}
