/** ms for which a server that failed is only asked when no other is better. */
const COOL_DOWN_MS = 5000;

export interface Servers {
  readonly count: number;
  /** The server to ask now. `notBefore`: what servers told this call to wait for, by monotonic time in ms. */
  pick(notBefore: ReadonlyMap<string, number>): string;
  /** A connection error or a 503: the next call begins elsewhere. */
  failed(server: string): void;
}

/** Stays with one server while it works, so that connections are used again; begins at a random one, so that clients spread. */
export function createServers(
  urls: readonly string[],
  random: () => number = Math.random,
  now: () => number = () => performance.now(),
): Servers {
  const coolUntil = new Map<string, number>();
  let current = Math.floor(random() * urls.length);
  return {
    count: urls.length,
    pick: (notBefore) => {
      const at = now();
      const wait = (times: ReadonlyMap<string, number>, url: string) => Math.max(0, (times.get(url) ?? 0) - at);
      const inTurn = [...urls.slice(current), ...urls.slice(0, current)];
      // Sorting is stable: among equals the current one comes first.
      inTurn.sort((a, b) => wait(notBefore, a) - wait(notBefore, b) || wait(coolUntil, a) - wait(coolUntil, b));
      return inTurn[0] ?? '';
    },
    failed: (server) => {
      coolUntil.set(server, now() + COOL_DOWN_MS);
      if (urls[current] === server) current = (current + 1) % urls.length;
    },
  };
}
