import { isSafeUrl } from '../../config/safe-url.ts';
import { IdentityProviderUnavailable } from '../errors.ts';
import type { TokenIssuer } from './issuers.ts';
import { readKeys, suits, type TrustedKey } from './keys.ts';

/** ms; keys that are used are asked for again, so that one that was taken back does not count for long. */
const REFRESH_MS = 60_000;
/** ms between two questions, however many unknown keys are named meanwhile. */
const COOL_DOWN_MS = 30_000;
/** The same while there is no key at all, and nobody can come in. */
const RETRY_MS = 5000;
/** ms for which the last good keys count while the issuer cannot be asked. */
const MAX_AGE_MS = 3_600_000;
/** Requests that wait for the keys of one issuer at once. */
const MAX_WAITING = 256;

/** A JSON document; `publicOnly`: its URL was named by somebody else. Rejects when there is none in time. */
export type FetchDocument = (url: string, options: { readonly publicOnly: boolean }) => Promise<unknown>;

export interface KeySourceOptions {
  readonly issuer: Pick<TokenIssuer, 'issuer' | 'jwksUri'>;
  readonly fetchDocument: FetchDocument;
  /** Monotonic ms. */
  readonly now: () => number;
  readonly observe: KeyObserver;
}

export interface KeyObserver {
  /** `failure`: why there is none; for the log. */
  keysFetched(issuer: string, failure: unknown): void;
}

/** The keys of one issuer. */
export interface KeySource {
  /** Undefined when the issuer has no such key. Throws IdentityProviderUnavailable when nobody can say. */
  find(kid: string, alg: string): TrustedKey | undefined | Promise<TrustedKey | undefined>;
  /** Whether what was verified with the key counts still. */
  holds(key: TrustedKey): boolean;
}

/** Asks when a key is needed, never beside itself, and keeps what it knew while there is no answer. */
export function createKeySource({ issuer, fetchDocument, now, observe }: KeySourceOptions): KeySource {
  let keys: readonly TrustedKey[] = [];
  let fetchedAt = Number.NEGATIVE_INFINITY;
  let askedAt = Number.NEGATIVE_INFINITY;
  let lastFailed = false;
  let asking: Promise<void> | undefined;
  let waiting = 0;

  const isUsable = () => now() - fetchedAt < MAX_AGE_MS;

  function find(kid: string, alg: string): TrustedKey | undefined | Promise<TrustedKey | undefined> {
    const found = isUsable() ? pick(kid, alg) : undefined;
    if (found !== undefined) {
      refreshIfDue();
      return found;
    }
    if (asking === undefined && !mayAsk()) return unknown();
    if (waiting >= MAX_WAITING) throw new IdentityProviderUnavailable();
    waiting += 1;
    return ask().then(() => {
      waiting -= 1;
      return (isUsable() ? pick(kid, alg) : undefined) ?? unknown();
    });
  }

  /** Two keys of one name are none: which of them counts would depend on who reads. */
  function pick(kid: string, alg: string): TrustedKey | undefined {
    const [first, ...more] = keys.filter((key) => key.kid === kid && suits(key, alg));
    return more.length === 0 ? first : undefined;
  }

  /** Whoever rotates while it is away has keys that nobody here knows: then the token may be good. */
  function unknown(): undefined {
    if (!isUsable() || lastFailed) throw new IdentityProviderUnavailable();
    return undefined;
  }

  function mayAsk(): boolean {
    return now() - askedAt >= (isUsable() ? COOL_DOWN_MS : RETRY_MS);
  }

  function refreshIfDue(): void {
    if (asking === undefined && now() - fetchedAt >= REFRESH_MS && mayAsk()) void ask();
  }

  function ask(): Promise<void> {
    asking ??= refresh().finally(() => {
      asking = undefined;
    });
    return asking;
  }

  /** Never rejects. */
  async function refresh(): Promise<void> {
    askedAt = now();
    try {
      use(await fetchKeys(issuer, fetchDocument));
      fetchedAt = now();
      lastFailed = false;
      observe.keysFetched(issuer.issuer, undefined);
    } catch (error) {
      lastFailed = true;
      observe.keysFetched(issuer.issuer, error);
    }
  }

  /** A key that is still there stays the one it was; what was verified with one that is not counts no more. */
  function use(listed: readonly TrustedKey[]): void {
    const known = new Map(keys.map((key) => [keyName(key), key]));
    const next = listed.map((key) => known.get(keyName(key)) ?? key);
    const kept = new Set(next);
    for (const key of keys) if (!kept.has(key)) key.inForce = false;
    keys = next;
  }

  function holds(key: TrustedKey): boolean {
    refreshIfDue();
    return key.inForce && isUsable();
  }

  return { find, holds };
}

function keyName({ kid, alg, identity }: TrustedKey): string {
  return JSON.stringify([kid, alg, identity]);
}

async function fetchKeys(issuer: KeySourceOptions['issuer'], fetchDocument: FetchDocument) {
  const { url, publicOnly } = await jwksOf(issuer, fetchDocument);
  const keys = readKeys(await fetchDocument(url, { publicOnly }));
  if (keys === undefined) throw new Error('not a JWK set');
  // An empty list would lock everybody out for a mistake; taking all keys back is done by removing the issuer.
  if (keys.length === 0) throw new Error('no usable key');
  return keys;
}

/** OpenID Connect Discovery 1.0 §4. */
async function jwksOf({ issuer, jwksUri }: KeySourceOptions['issuer'], fetchDocument: FetchDocument) {
  if (jwksUri !== undefined) return { url: jwksUri, publicOnly: false };
  const location = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const document = await fetchDocument(location, { publicOnly: false });
  const { issuer: named, jwks_uri: url } = Object(document);
  // Of another issuer (§4.3): its keys say nothing about this one.
  if (named !== issuer) throw new Error('the discovery document is of another issuer');
  if (typeof url !== 'string' || !isSafeUrl(url)) throw new Error('the discovery document names no usable jwks_uri');
  const elsewhere = new URL(url).origin !== new URL(issuer).origin;
  if (elsewhere && !url.startsWith('https:')) throw new Error('the jwks_uri is not https');
  return { url, publicOnly: elsewhere };
}
