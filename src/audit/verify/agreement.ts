/** Chains named in a sentence. */
const NAMED = 5;

/** How far the log of checkpoints is vouched for by notes of one kind, and which chains have entries after that. */
export class Agreement {
  /** Chain → its size in the last entry that is vouched for. */
  readonly #since = new Map<string, number>();
  #size = 0;

  /** Entries under the newest note that fits. */
  get size(): number {
    return this.#size;
  }

  /** An entry for `chain`, whose newest one before it was at `before`. */
  entered(chain: string, before: number): void {
    if (!this.#since.has(chain)) this.#since.set(chain, before);
  }

  /** A note over `size` entries fits. */
  reached(size: number): void {
    this.#size = size;
    this.#since.clear();
  }

  /** The chain whose entries must be other ones, if there is only one with any; and its size before them. */
  get suspect(): { readonly chain: string; readonly size: number } | undefined {
    const [first, ...others] = this.#since;
    return first === undefined || others.length > 0 ? undefined : { chain: first[0], size: first[1] };
  }

  get suspects(): string {
    const names = Array.from(this.#since.keys()).slice(0, NAMED).join(', ');
    return this.#since.size > NAMED ? `${names} and ${this.#since.size - NAMED} more` : names;
  }
}
