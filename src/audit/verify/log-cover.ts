import type { Registry } from './registry.ts';

/**
 * What the log of checkpoints covers of each chain at the few sizes that limit a signer, and at no other: a list of all
 * entries would grow with the log.
 */
export class LogCover {
  /** Ascending, without duplicates. */
  readonly #sizes: readonly number[];
  readonly #chains = new Map<string, { readonly slots: number[]; readonly sizes: number[] }>();
  /** The first of `#sizes` that the next entry is within. */
  #slot = 0;
  #entries = 0;
  #lost = false;

  constructor(sizes: Iterable<number>) {
    this.#sizes = [...new Set(sizes)].sort((a, b) => a - b);
  }

  /** The largest size that limits a signer of events; undefined when none does. */
  get largest(): number | undefined {
    return this.#sizes.at(-1);
  }

  /** The next entry is missing or cannot be read: what it covered is not known, and for these limits the log ends here. */
  lost(): void {
    this.#lost = true;
  }

  /** The next entry says that `chain` is at `size`; undefined: it says nothing that can be used. */
  add(chain: string | undefined, size = 0): void {
    if (this.#lost) return;
    this.#entries += 1;
    while ((this.#sizes[this.#slot] ?? Number.POSITIVE_INFINITY) < this.#entries) this.#slot += 1;
    if (chain === undefined || this.#slot >= this.#sizes.length) return;
    const known = this.#chains.get(chain) ?? { slots: [], sizes: [] };
    this.#chains.set(chain, known);
    const last = known.slots.length - 1;
    if (known.slots[last] === this.#slot) known.sizes[last] = size;
    else {
      known.slots.push(this.#slot);
      known.sizes.push(size);
    }
  }

  /** The size of `chain` in its newest entry among the first `size`, 0 without one; undefined where the log is shorter. */
  of(chain: string, size: number): number | undefined {
    if (size > this.#entries) return undefined;
    const slot = this.#sizes.indexOf(size);
    const { slots, sizes } = this.#chains.get(chain) ?? { slots: [], sizes: [] };
    const at = slots.findLastIndex((one) => one <= slot);
    return sizes[at] ?? 0;
  }
}

/** The sizes that limit signers of events. */
export function limitingSizes(registry: Registry): number[] {
  return Array.from(registry.values())
    .filter(({ purpose }) => purpose === 'audit')
    .flatMap(({ validFromSize, validToSize }) => [validFromSize, validToSize])
    .filter((size) => size !== null);
}
