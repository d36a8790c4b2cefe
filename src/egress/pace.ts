/** So many at once, and then so many each second, evenly. */
export interface PaceLimits {
  readonly burst: number;
  readonly perSecond: number;
}

/** Takes the next turn, and answers in how many ms it comes; 0: now. */
export type Pace = () => number;

export function createPace({ burst, perSecond }: PaceLimits): Pace {
  const each = 1000 / perSecond;
  let last = Number.NEGATIVE_INFINITY;
  return () => {
    const at = performance.now();
    last = Math.max(last + each, at - (burst - 1) * each);
    return Math.max(0, last - at);
  };
}
