/** Keys remembered per kind of bucket; a key costs about 150 bytes. */
const MAX_KEYS = 10_000;

export interface BucketOptions {
  /** Tokens a second, and the most a key can save up. */
  readonly rate: number;
  readonly burst: number;
  readonly maxKeys?: number;
}

interface Bucket {
  tokens: number;
  /** Monotonic ms of the last refill. */
  at: number;
}

/**
 * One token bucket per key, never more than `maxKeys`. Two generations stand in for a list by last use: a key in use is
 * carried over, so a flood of new keys only pushes out keys that are idle, and a hit costs one look-up.
 */
export class TokenBuckets {
  readonly #rate: number;
  readonly #burst: number;
  readonly #half: number;
  #young = new Map<string, Bucket>();
  #old = new Map<string, Bucket>();

  constructor({ rate, burst, maxKeys = MAX_KEYS }: BucketOptions) {
    this.#rate = rate / 1000;
    this.#burst = burst;
    this.#half = Math.max(1, Math.floor(maxKeys / 2));
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /** Takes one token; else takes nothing and returns the ms until there is one. `now` is monotonic ms. */
  take(key: string, now: number): number {
    const bucket = this.#young.get(key) ?? this.#remember(key, now);
    this.#refill(bucket, now);
    if (bucket.tokens < 1) return (1 - bucket.tokens) / this.#rate;
    bucket.tokens -= 1;
    return 0;
  }

  #refill(bucket: Bucket, now: number): void {
    // Would stay for ever.
    if (!Number.isFinite(now)) return;
    const passed = now - bucket.at;
    // A clock that went back gives nothing, but counts from there: else the key would wait until it has caught up.
    if (passed > 0) bucket.tokens = Math.min(this.#burst, bucket.tokens + passed * this.#rate);
    bucket.at = now;
  }

  #remember(key: string, now: number): Bucket {
    const known = this.#old.get(key);
    if (known !== undefined) this.#old.delete(key);
    const bucket = known ?? { tokens: this.#burst, at: Number.isFinite(now) ? now : 0 };
    if (this.#young.size >= this.#half) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, bucket);
    return bucket;
  }
}
