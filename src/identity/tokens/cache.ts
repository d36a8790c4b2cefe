import { hash } from 'node:crypto';

import type { Principal } from '../principal.ts';
import type { KeySource } from './key-source.ts';
import type { TrustedKey } from './keys.ts';

/** Tokens; each takes about 1 kB. */
const MAX_ENTRIES = 10_000;

/** What a token has proven. */
export interface VerifiedToken {
  readonly principal: Principal;
  /** Epoch ms. */
  readonly notAfter: number;
  /** The certificate it is bound to, upper-case hex SHA-256. */
  readonly boundTo: string | undefined;
  readonly key: TrustedKey;
  readonly keys: KeySource;
}

/** Verified tokens by digest. Only verified ones are kept, so that nobody else can push them out. */
export interface TokenCache {
  /** Undefined when there is none that counts at `now` (epoch ms). */
  get(digest: string, now: number): VerifiedToken | undefined;
  set(digest: string, token: VerifiedToken): void;
}

/**
 * SHA-256 over the whole token. Tokens in the cache are in their one spelling, so another spelling of the same has another
 * digest, and is refused where it is read.
 */
export function tokenDigest(token: string): string {
  return hash('sha256', token, 'base64');
}

export function createTokenCache(limit = MAX_ENTRIES): TokenCache {
  const entries = new Map<string, VerifiedToken>();

  function get(digest: string, now: number): VerifiedToken | undefined {
    const found = entries.get(digest);
    if (found === undefined) return undefined;
    if (now < found.notAfter && found.keys.holds(found.key)) return found;
    entries.delete(digest);
    return undefined;
  }

  function set(digest: string, token: VerifiedToken): void {
    entries.set(digest, token);
    if (entries.size <= limit) return;
    const [oldest] = entries.keys();
    if (oldest !== undefined) entries.delete(oldest);
  }

  return { get, set };
}
