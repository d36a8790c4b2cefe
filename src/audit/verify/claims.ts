const HASH_BYTES = 32;
/** Entries kept in memory, 40 bytes each; past it the older ones of each chain are thinned out, never the newest. */
const MAX_KEPT = 200_000;

/** What the log of checkpoints says of one chain: its root at some sizes, ascending. */
export class ChainClaims {
  readonly #sizes: number[] = [];
  #roots = Buffer.alloc(4 * HASH_BYTES);
  /** The newest size under a checkpoint from outside that was found to fit; 0 for none. */
  anchored = 0;

  get count(): number {
    return this.#sizes.length;
  }

  get newest(): number {
    return this.#sizes.at(-1) ?? 0;
  }

  size(at: number): number | undefined {
    return this.#sizes[at];
  }

  root(at: number): Buffer {
    return this.#roots.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES);
  }

  add(size: number, root: Buffer): void {
    const at = this.#sizes.length;
    if ((at + 1) * HASH_BYTES > this.#roots.length) {
      const larger = Buffer.alloc(this.#roots.length * 2);
      this.#roots.copy(larger);
      this.#roots = larger;
    }
    root.copy(this.#roots, at * HASH_BYTES);
    this.#sizes.push(size);
  }

  /** Drops about half. The newest stays, and so does the anchored one: each vouches for all before it. */
  thin(): void {
    const last = this.#sizes.length - 1;
    let kept = 0;
    for (let at = 0; at <= last; at += 1) {
      const size = this.#sizes[at] ?? 0;
      if (at % 2 === 0 && at !== last && size !== this.anchored) continue;
      this.#roots.copyWithin(kept * HASH_BYTES, at * HASH_BYTES, (at + 1) * HASH_BYTES);
      this.#sizes[kept] = size;
      kept += 1;
    }
    this.#sizes.length = kept;
  }
}

/** The claims about all chains, in bounded memory. */
export class Claims {
  readonly #chains = new Map<string, ChainClaims>();
  #kept = 0;
  #dropped = 0;

  /** Entries that will not be compared, because newer ones of the same chain are. */
  get dropped(): number {
    return this.#dropped;
  }

  get chains(): Iterable<[string, ChainClaims]> {
    return this.#chains;
  }

  of(chain: string): ChainClaims | undefined {
    return this.#chains.get(chain);
  }

  add(chain: string, size: number, root: Buffer): void {
    const claims = this.#chains.get(chain) ?? new ChainClaims();
    this.#chains.set(chain, claims);
    claims.add(size, root);
    this.#kept += 1;
    if (this.#kept > MAX_KEPT + this.#chains.size) this.#thin();
  }

  /** All claims so far are under a checkpoint from outside. */
  anchor(): void {
    for (const claims of this.#chains.values()) claims.anchored = claims.newest;
  }

  #thin(): void {
    let kept = 0;
    for (const claims of this.#chains.values()) {
      claims.thin();
      kept += claims.count;
    }
    this.#dropped += this.#kept - kept;
    this.#kept = kept;
  }
}
