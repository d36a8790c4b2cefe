/** An agent may write for months, but not so much at once that the service does little else than read. */
const WINDOW_MS = 10_000;
const WINDOW_BYTES = 256 * 1024 * 1024;

/** Counts output; true as long as it is not too much at once. `now` in ms. */
export function createOutputRate(now: () => number = () => performance.now()): (bytes: number) => boolean {
  let since = now();
  let written = 0;
  return (bytes) => {
    if (now() - since > WINDOW_MS) {
      since = now();
      written = 0;
    }
    written += bytes;
    return written <= WINDOW_BYTES;
  };
}
