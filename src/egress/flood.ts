/** More connections than `most` in a window of time. */
export interface FloodLimits {
  readonly most: number;
  readonly windowMs: number;
}

/** Counts connections; true once there were so many that to accept them would be all that is done. */
export function createFloodWatch({ most, windowMs }: FloodLimits): () => boolean {
  let since = performance.now();
  let count = 0;
  return () => {
    if (performance.now() - since > windowMs) {
      since = performance.now();
      count = 0;
    }
    count += 1;
    return count > most;
  };
}
