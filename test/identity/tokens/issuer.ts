import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { SignJWT } from 'jose';

import { IdentityProviderUnavailable, Unauthenticated } from '../../../src/identity/errors.ts';
import { parseTokenIssuers } from '../../../src/identity/tokens/issuers.ts';
import type { FetchDocument } from '../../../src/identity/tokens/key-source.ts';
import { createTokens, type TokenAuthority } from '../../../src/identity/tokens/tokens.ts';

export const ISSUER = 'https://id.example';
export const AUDIENCE = 'castellan';
export const FINGERPRINT = 'AB'.repeat(32);
/** 2026-01-01, in seconds. */
export const START = 1_767_225_600;

/** One entry of the file, with what a test wants otherwise. */
export function entry(changes: object = {}): object {
  return {
    issuer: ISSUER,
    kind: 'human',
    audience: AUDIENCE,
    algorithms: ['ES256', 'RS256'],
    typ: ['at+jwt', 'JWT'],
    roles: { claim: 'groups', map: { 'castellan-admins': 'kernel-admin', operators: 'operator' } },
    workspaces: { claim: 'castellan_workspaces', all: '*' },
    ...changes,
  };
}

export function issuersOf(...entries: object[]) {
  return parseTokenIssuers(Buffer.from(JSON.stringify({ issuers: entries })));
}

export interface SigningKey {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly jwk: Readonly<Record<string, unknown>>;
}

export function ecKey(kid = 'ec-1'): SigningKey {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { ...pair, kid, alg: 'ES256', jwk: { ...pair.publicKey.export({ format: 'jwk' }), kid, use: 'sig' } };
}

export function rsaKey(kid = 'rsa-1', modulusLength = 2048): SigningKey {
  const pair = generateKeyPairSync('rsa', { modulusLength });
  return { ...pair, kid, alg: 'RS256', jwk: { ...pair.publicKey.export({ format: 'jwk' }), kid } };
}

/** What the issuer says of alice, who administers everything. */
export function claims(changes: object = {}): Record<string, unknown> {
  return {
    iss: ISSUER,
    aud: AUDIENCE,
    sub: 'alice',
    iat: START,
    exp: START + 600,
    groups: ['castellan-admins'],
    castellan_workspaces: ['demo'],
    ...changes,
  };
}

export function sign(key: SigningKey, payload = claims(), header: object = {}): Promise<string> {
  return new SignJWT(payload)
    .setProtectedHeader({ alg: key.alg, kid: key.kid, typ: 'at+jwt', ...header })
    .sign(key.privateKey);
}

/** An issuer whose answers and clock are the test's. */
export class FakeIssuer {
  keys: SigningKey[];
  /** Throws or waits in place of the answer. */
  fault: (() => unknown) | undefined;
  /** Documents that were asked for. */
  readonly asked: string[] = [];
  seconds = START;

  constructor(...keys: SigningKey[]) {
    this.keys = keys;
  }

  readonly fetchDocument: FetchDocument = async (url) => {
    this.asked.push(url);
    if (this.fault !== undefined) await this.fault();
    if (url.endsWith('/.well-known/openid-configuration')) return { issuer: ISSUER, jwks_uri: `${ISSUER}/jwks` };
    return { keys: this.keys.map(({ jwk }) => jwk) };
  };

  get jwksAsked(): number {
    return this.asked.filter((url) => url.endsWith('/jwks')).length;
  }

  tokens(...entries: object[]): TokenAuthority & { readonly ids: string[] } {
    const ids: string[] = [];
    const authority = createTokens({
      toleranceSeconds: 30,
      clock: () => this.seconds * 1000,
      now: () => this.seconds * 1000,
      observe: { keysFetched: () => undefined },
      idOf: async (issuer, subject, kind) => {
        ids.push(subject);
        return `${kind === 'human' ? 'hu' : 'sv'}-${issuer.length}-${subject}`;
      },
    });
    authority.use({
      issuers: issuersOf(...(entries.length === 0 ? [entry()] : entries)),
      fetchDocument: this.fetchDocument,
      trust: '',
    });
    return Object.assign(authority, { ids });
  }
}

/** The reason of the refusal, the code where it is none, or `accepted`. */
export async function outcome(
  tokens: TokenAuthority,
  token: string,
  via: { fingerprint?: string | undefined; onlyHumans?: boolean } = {},
): Promise<string> {
  try {
    await tokens.authenticate(token.includes(' ') ? token : `Bearer ${token}`, {
      fingerprint: via.fingerprint,
      onlyHumans: via.onlyHumans ?? false,
    });
    return 'accepted';
  } catch (error) {
    if (error instanceof Unauthenticated) return error.reason;
    if (error instanceof IdentityProviderUnavailable) return error.code;
    throw error;
  }
}
