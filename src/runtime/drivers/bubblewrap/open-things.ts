/** What is opened, with its end. */
interface Opened<T> {
  readonly thing: T;
  readonly end: () => Promise<unknown>;
}

export interface OpenThings {
  /** What `open` answers, kept until it calls `forget`. */
  add<T>(open: (forget: () => void) => Promise<Opened<T>>): Promise<T>;
  /** Ends all there is, also what is being opened; rejects with the first that could not be ended, once all were tried. */
  close(): Promise<void>;
}

/** Knows what is open, so that all of it can be ended. */
export function createOpenThings(): OpenThings {
  const opening = new Set<Promise<unknown>>();
  const ends = new Set<() => Promise<unknown>>();
  return {
    add: async (open) => {
      let isOver = false;
      let forget: () => void = () => {
        isOver = true;
      };
      const opened = open(() => forget());
      opening.add(opened);
      try {
        const { thing, end } = await opened;
        if (isOver) return thing;
        ends.add(end);
        forget = () => void ends.delete(end);
        return thing;
      } finally {
        opening.delete(opened);
      }
    },
    close: async () => {
      await Promise.allSettled(opening);
      const outcomes = await Promise.allSettled([...ends].map((end) => end()));
      ends.clear();
      for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
    },
  };
}
