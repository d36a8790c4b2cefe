/** At most so many at once; who comes later waits for its turn. */
export interface Places {
  /** Resolves with what gives the place back, once. */
  take(): Promise<() => void>;
}

export function createPlaces(count: number): Places {
  const waiting: (() => void)[] = [];
  let free = count;

  function giveBack(): void {
    const next = waiting.shift();
    if (next === undefined) free += 1;
    else next();
  }

  return {
    take: async () => {
      if (free > 0) free -= 1;
      else {
        const { promise, resolve } = Promise.withResolvers<void>();
        waiting.push(resolve);
        await promise;
      }
      let given = false;
      return () => {
        if (!given) giveBack();
        given = true;
      };
    },
  };
}
