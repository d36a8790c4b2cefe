/** Milliseconds since the Unix epoch; passed in so that tests can move time. */
export type Clock = () => number;

export const systemClock: Clock = () => Date.now();

/** RFC 3339 UTC with milliseconds, the one time format on the wire. */
export function timestamp(epochMs: number): string {
  return new Date(epochMs).toISOString();
}
