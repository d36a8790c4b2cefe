/** Keys remembered per kind of bucket; a key costs about 150 bytes. */
const MAX_KEYS = 10_000;
const SECOND_MS = 1000;

/** Tokens a second, and the most a key can save up. */
export interface Ceiling {
  readonly rate: number;
  readonly burst: number;
}

export interface BucketOptions extends Ceiling {
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
  readonly #general: Ceiling;
  readonly #half: number;
  #young = new Map<string, Bucket>();
  #old = new Map<string, Bucket>();

  constructor({ rate, burst, maxKeys = MAX_KEYS }: BucketOptions) {
    this.#general = { rate, burst };
    this.#half = Math.max(1, Math.floor(maxKeys / 2));
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /**
   * Takes one token; else takes nothing and returns the ms until there is one. `now` is monotonic ms. `own`: a ceiling of
   * this key, which counts where it is the lower one.
   */
  take(key: string, now: number, own?: Ceiling): number {
    const { rate, burst } = own === undefined ? this.#general : lower(own, this.#general);
    const bucket = this.#young.get(key) ?? this.#remember(key, now, burst);
    refill(bucket, now, rate, burst);
    if (bucket.tokens < 1) return ((1 - bucket.tokens) * SECOND_MS) / rate;
    bucket.tokens -= 1;
    return 0;
  }

  #remember(key: string, now: number, burst: number): Bucket {
    const known = this.#old.get(key);
    if (known !== undefined) this.#old.delete(key);
    const bucket = known ?? { tokens: burst, at: Number.isFinite(now) ? now : 0 };
    if (this.#young.size >= this.#half) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, bucket);
    return bucket;
  }
}

function refill(bucket: Bucket, now: number, rate: number, burst: number): void {
  // Would stay for ever.
  if (!Number.isFinite(now)) return;
  const passed = now - bucket.at;
  // A clock that went back gives nothing, but counts from there: else the key would wait until it has caught up.
  if (passed > 0) bucket.tokens = bucket.tokens + (passed * rate) / SECOND_MS;
  bucket.tokens = Math.min(burst, bucket.tokens);
  bucket.at = now;
}

function lower(a: Ceiling, b: Ceiling): Ceiling {
  if (a.rate <= b.rate && a.burst <= b.burst) return a;
  return { rate: Math.min(a.rate, b.rate), burst: Math.min(a.burst, b.burst) };
}
