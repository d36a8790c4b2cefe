import type { Tokens } from '../authenticate.ts';
import { Unauthenticated } from '../errors.ts';
import type { Principal } from '../principal.ts';
import { bearerToken } from './bearer.ts';
import { createTokenCache, type TokenCache, tokenDigest, type VerifiedToken } from './cache.ts';
import type { TokenIssuer } from './issuers.ts';
import { createKeySource, type FetchDocument, type KeyObserver, type KeySource } from './key-source.ts';
import { type IssuerInForce, type VerifyOptions, verifyToken } from './verify.ts';

export interface TokensOptions extends VerifyOptions {
  /** Monotonic ms. */
  readonly now: () => number;
  readonly observe: KeyObserver;
}

/** Whose tokens count, and how their keys are fetched. */
export interface TokenIssuersInForce {
  readonly issuers: readonly TokenIssuer[];
  readonly fetchDocument: FetchDocument;
  /** Where `fetchDocument` trusts others than before, what it fetched before counts no more. */
  readonly trust: string;
}

export interface TokenAuthority extends Tokens {
  /** From now on these issuers count, and no others: what was verified before is verified again. */
  use(issuers: TokenIssuersInForce): void;
}

interface State {
  readonly byIssuer: ReadonlyMap<string, readonly IssuerInForce[]>;
  readonly sources: ReadonlyMap<string, KeySource>;
  readonly cache: TokenCache;
  /** Tokens that are being verified, so that the requests of one page do it once. */
  readonly underWay: Map<string, Promise<VerifiedToken>>;
}

/** Principals by the tokens they bring. No issuer counts until `use` says so. */
export function createTokens(options: TokensOptions): TokenAuthority {
  let state = stateOf({ issuers: [], fetchDocument: () => Promise.reject(new Error('no issuer')), trust: '' });

  function stateOf({ issuers, fetchDocument, trust }: TokenIssuersInForce, before?: State): State {
    const { now, observe } = options;
    const sources = new Map<string, KeySource>();
    const inForce = issuers.map((rule): IssuerInForce => {
      const name = JSON.stringify([rule.issuer, rule.jwksUri, trust]);
      const keys =
        sources.get(name) ??
        before?.sources.get(name) ??
        createKeySource({ issuer: rule, fetchDocument, now, observe });
      sources.set(name, keys);
      return { rule, keys };
    });
    const byIssuer = Map.groupBy(inForce, ({ rule }) => rule.issuer);
    return { byIssuer, sources, cache: createTokenCache(), underWay: new Map() };
  }

  function authenticate(header: string, via: Parameters<Tokens['authenticate']>[1]): Principal | Promise<Principal> {
    const token = bearerToken(header);
    const digest = tokenDigest(token);
    const known = state.cache.get(digest, options.clock());
    return known === undefined ? verify(token, digest).then((found) => admit(found, via)) : admit(known, via);
  }

  async function verify(token: string, digest: string): Promise<VerifiedToken> {
    const asked = state;
    const found = await (asked.underWay.get(digest) ?? begin(asked, token, digest));
    // The issuers changed meanwhile: what the old ones say counts no more.
    return asked === state ? found : verify(token, digest);
  }

  function begin({ byIssuer, cache, underWay }: State, token: string, digest: string): Promise<VerifiedToken> {
    const verifying = verifyToken(token, byIssuer, options)
      .then((found) => {
        cache.set(digest, found);
        return found;
      })
      .finally(() => underWay.delete(digest));
    underWay.set(digest, verifying);
    return verifying;
  }

  return {
    authenticate,
    use: (issuers) => {
      state = stateOf(issuers, state);
    },
  };
}

/** On every request, for the same token may come over another connection. */
function admit(
  { principal, boundTo }: VerifiedToken,
  { fingerprint, onlyHumans }: Parameters<Tokens['authenticate']>[1],
): Principal {
  if (onlyHumans && principal.kind !== 'human') throw new Unauthenticated('TOKEN_NOT_OF_A_HUMAN');
  if (boundTo !== undefined && boundTo !== fingerprint) throw new Unauthenticated('TOKEN_BOUND_ELSEWHERE');
  return principal;
}
