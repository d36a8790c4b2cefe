/** A run under way; to be released once, when nothing of it is left. */
export interface Place {
  release(): void;
}

/** A run that waits. */
export interface Waiting {
  /** Undefined: it has left the line, or the queue is closed. */
  readonly place: Promise<Place | undefined>;
  leave(): void;
}

interface Line {
  running: number;
  limit: number;
  readonly waiting: ((place: Place | undefined) => void)[];
}

/**
 * Places for runs on this replica, and a bounded line in front of them. Workspaces take turns, each has a bound of its own,
 * and none can fill the line: when it is full, a workspace of which nobody waits yet may still wait with one, up to twice
 * the bound in all.
 */
export class RunQueue {
  readonly #capacity: number;
  readonly #maxWaiting: number;
  /** By workspace; those of which somebody waits in the order of their turns. */
  readonly #lines = new Map<string, Line>();
  #running = 0;
  #waiting = 0;
  #isClosed = false;

  constructor(options: { readonly capacity: number; readonly maxWaiting: number }) {
    this.#capacity = options.capacity;
    this.#maxWaiting = options.maxWaiting;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** A place at once. `limit`: of the workspace, from now on. */
  take(workspaceId: string, limit: number): Place | undefined {
    const line = this.#line(workspaceId, limit);
    const isFree = !this.#isClosed && this.#running < this.#capacity && line.running < limit;
    if (isFree && line.waiting.length === 0) return this.#enter(workspaceId, line);
    this.#forget(workspaceId, line);
    return undefined;
  }

  /** A turn in the line; undefined when there is no room for this workspace. */
  wait(workspaceId: string, limit: number): Waiting | undefined {
    const line = this.#line(workspaceId, limit);
    const hasRoom = this.#waiting < this.#maxWaiting;
    const isFirst = line.waiting.length === 0 && this.#waiting < 2 * this.#maxWaiting;
    if (this.#isClosed || !(hasRoom || isFirst)) {
      this.#forget(workspaceId, line);
      return undefined;
    }
    const { promise, resolve } = Promise.withResolvers<Place | undefined>();
    line.waiting.push(resolve);
    this.#waiting += 1;
    // Its limit may have been raised since the others of its line came.
    this.#next();
    const leave = () => {
      const at = line.waiting.indexOf(resolve);
      if (at === -1) return;
      line.waiting.splice(at, 1);
      this.#waiting -= 1;
      this.#forget(workspaceId, line);
      resolve(undefined);
    };
    return { place: promise, leave };
  }

  /** Nobody gets a place any more; those who wait are told so. */
  close(): void {
    this.#isClosed = true;
    for (const line of this.#lines.values()) for (const resolve of line.waiting.splice(0)) resolve(undefined);
    this.#waiting = 0;
  }

  #line(workspaceId: string, limit: number): Line {
    const line = this.#lines.get(workspaceId) ?? { running: 0, limit, waiting: [] };
    line.limit = limit;
    this.#lines.set(workspaceId, line);
    return line;
  }

  #enter(workspaceId: string, line: Line): Place {
    line.running += 1;
    this.#running += 1;
    let isReleased = false;
    return {
      release: () => {
        if (isReleased) return;
        isReleased = true;
        line.running -= 1;
        this.#running -= 1;
        this.#forget(workspaceId, line);
        this.#next();
      },
    };
  }

  #next(): void {
    if (this.#isClosed) return;
    while (this.#running < this.#capacity) {
      const found = [...this.#lines].find(([, line]) => line.waiting.length > 0 && line.running < line.limit);
      if (found === undefined) return;
      const [workspaceId, line] = found;
      const resolve = line.waiting.shift();
      this.#waiting -= 1;
      // To the end of the round.
      this.#lines.delete(workspaceId);
      this.#lines.set(workspaceId, line);
      resolve?.(this.#enter(workspaceId, line));
    }
  }

  #forget(workspaceId: string, line: Line): void {
    if (line.running === 0 && line.waiting.length === 0) this.#lines.delete(workspaceId);
  }
}
