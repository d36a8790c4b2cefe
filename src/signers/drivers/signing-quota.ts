import { SignerError } from '../../crypto/signer.ts';

/** Signatures a second of one account and region, whatever the number of keys (KMS quota of asymmetric operations). */
const PER_SECOND = 1000;
/** Of the quota we use, so that our own clock and the tools of an operator do not run into it. */
const USED_SHARE = 0.8;
/** Of the quota that a bucket saves up: the rest of it, so that no second ever sees more than the whole. */
const SAVED_SHARE = 0.2;
/** ms; as long as a signature may take. Who would wait longer is refused at once. */
const MAX_WAIT_MS = 2000;

/** `background` may use at most half of the quota, so that what a caller waits for keeps the other half. */
export type Workload = 'foreground' | 'background';

/** Hands out leave to make one request each, in order of arrival. */
export interface SigningQuota {
  /** Resolves when one request may be made. Rejects with SignerError when too many wait, or when `signal` fires first. */
  take(workload: Workload, signal: AbortSignal): Promise<void>;
}

/** Monotonic ms and a timer; passed in so that tests can move time. */
export interface QuotaTime {
  now(): number;
  /** Calls `work` after `ms`, a whole number from 1; a later call replaces it. */
  wake(ms: number, work: () => void): void;
}

interface Waiter {
  readonly arrival: number;
  readonly go: () => void;
}

/**
 * A token bucket over the quota of one account and region: signers that share the quota must share this.
 */
export function createSigningQuota(options: { perSecond?: number; time?: QuotaTime } = {}): SigningQuota {
  const { perSecond = PER_SECOND, time = systemTime() } = options;
  if (!Number.isFinite(perSecond) || perSecond < 1) throw new RangeError('a quota is at least 1 signature a second');
  const whole = createBucket(perSecond, time.now());
  const half = createBucket(perSecond / 2, time.now());
  const waiting: Record<Workload, Set<Waiter>> = { foreground: new Set(), background: new Set() };
  const limits: Record<Workload, number> = {
    foreground: whole.rate * MAX_WAIT_MS,
    background: half.rate * MAX_WAIT_MS,
  };
  let arrivals = 0;

  function take(workload: Workload, signal: AbortSignal): Promise<void> {
    const line = waiting[workload];
    if (signal.aborted) return Promise.reject(gaveUp(signal));
    if (line.size >= Math.max(1, limits[workload])) {
      return Promise.reject(new SignerError('more signatures are asked for than the quota allows'));
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const leave = () => {
      line.delete(waiter);
      reject(gaveUp(signal));
    };
    const waiter: Waiter = {
      arrival: arrivals++,
      go: () => {
        line.delete(waiter);
        signal.removeEventListener('abort', leave);
        resolve();
      },
    };
    signal.addEventListener('abort', leave, { once: true });
    line.add(waiter);
    serve();
    return promise;
  }

  function serve(): void {
    const now = time.now();
    whole.refill(now);
    half.refill(now);
    for (let waiter = next(); waiter !== undefined; waiter = next()) waiter.go();
    if (waiting.foreground.size + waiting.background.size === 0) return;
    // Either no request may be made, or only background waits, and its half is used up.
    time.wake(Math.max(1, Math.ceil(whole.tokens < 1 ? whole.untilNext() : half.untilNext())), serve);
  }

  /** Whoever came first of those that may go, its tokens taken. */
  function next(): Waiter | undefined {
    if (whole.tokens < 1) return undefined;
    const [foreground] = waiting.foreground;
    const [background] = half.tokens < 1 ? [] : waiting.background;
    const isBackground = background !== undefined && background.arrival < (foreground?.arrival ?? arrivals);
    if (isBackground) half.tokens -= 1;
    const first = isBackground ? background : foreground;
    if (first !== undefined) whole.tokens -= 1;
    return first;
  }

  return { take };
}

function createBucket(perSecond: number, start: number) {
  /** Tokens a ms. */
  const rate = (perSecond * USED_SHARE) / 1000;
  const burst = Math.max(1, perSecond * SAVED_SHARE);
  let at = start;
  const bucket = {
    rate,
    tokens: burst,
    refill(now: number): void {
      bucket.tokens = Math.min(burst, bucket.tokens + Math.max(0, now - at) * rate);
      at = now;
    },
    untilNext: (): number => (1 - bucket.tokens) / rate,
  };
  return bucket;
}

function gaveUp(signal: AbortSignal): SignerError {
  return new SignerError('signing was given up while it waited for the quota', { cause: signal.reason });
}

function systemTime(): QuotaTime {
  let timer: NodeJS.Timeout | undefined;
  return {
    now: () => performance.now(),
    wake(ms, work) {
      clearTimeout(timer);
      timer = setTimeout(work, ms);
    },
  };
}
