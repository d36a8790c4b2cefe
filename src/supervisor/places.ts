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

/** Room for so many; undefined when there is none just now, else what gives it back, once. */
export type Room = () => (() => void) | undefined;

export function createRoom(count: number): Room {
  let free = count;
  return () => {
    if (free <= 0) return undefined;
    free -= 1;
    let given = false;
    return () => {
      if (!given) free += 1;
      given = true;
    };
  };
}
