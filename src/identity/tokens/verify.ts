import { errors, type JWTPayload, jwtVerify } from 'jose';
import { Unauthenticated, type UnauthenticatedReason } from '../errors.ts';
import type { Principal } from '../principal.ts';
import { readToken, type TokenFacts } from './bearer.ts';
import type { VerifiedToken } from './cache.ts';
import { bindingOf, standingOf } from './claims.ts';
import { mediaType, type TokenIssuer } from './issuers.ts';
import type { KeySource } from './key-source.ts';

/** Characters of a subject (OpenID Connect Core §2). */
const MAX_SUBJECT = 255;

/** An issuer in force, and its keys. */
export interface IssuerInForce {
  readonly rule: TokenIssuer;
  readonly keys: KeySource;
}

export interface VerifyOptions {
  /** Seconds by which an issuer's clock may differ. */
  readonly toleranceSeconds: number;
  /** The opaque id of a subject. */
  readonly idOf: (issuer: string, subject: string, kind: TokenIssuer['kind']) => Promise<string>;
  /** Epoch ms. */
  readonly clock: () => number;
}

/** What the token proves. Rejects with Unauthenticated, or IdentityProviderUnavailable when nobody knows the key. */
export async function verifyToken(
  token: string,
  issuers: ReadonlyMap<string, readonly IssuerInForce[]>,
  options: VerifyOptions,
): Promise<VerifiedToken> {
  const facts = readToken(token);
  const { rule, keys } = issuerOf(facts, issuers);
  if (!rule.types.has(mediaType(facts.typ))) throw new Unauthenticated('TOKEN_CLAIMS_INVALID');
  if (!rule.algorithms.has(facts.alg)) throw new Unauthenticated('TOKEN_SIGNATURE_INVALID');
  const key = await keys.find(facts.kid, facts.alg);
  if (key === undefined) throw new Unauthenticated('TOKEN_SIGNATURE_INVALID');
  const claims = await verifiedClaims(token, rule, key.key, options);
  const boundTo = bindingOf(claims, rule);
  const standing = standingOf(claims, rule);
  const { sub } = claims;
  if (typeof sub !== 'string' || sub === '' || sub.length > MAX_SUBJECT) throw invalid();
  const id = await options.idOf(rule.issuer, sub, rule.kind);
  const principal: Principal = Object.freeze({ id, kind: rule.kind, ...standing });
  return { principal, notAfter: endOf(claims, rule, options), boundTo, key, keys };
}

/** The one entry whose audience the token names: two would be two standings. */
function issuerOf(facts: TokenFacts, issuers: ReadonlyMap<string, readonly IssuerInForce[]>): IssuerInForce {
  const entries = issuers.get(facts.issuer);
  if (entries === undefined) throw new Unauthenticated('TOKEN_ISSUER_UNKNOWN');
  const [entry, ...more] = entries.filter(({ rule }) => facts.audiences.includes(rule.audience));
  if (entry === undefined || more.length > 0) throw invalid();
  return entry;
}

async function verifiedClaims(
  token: string,
  rule: TokenIssuer,
  key: Parameters<typeof jwtVerify>[1],
  { toleranceSeconds, clock }: VerifyOptions,
): Promise<JWTPayload> {
  try {
    const { payload } = await jwtVerify(token, key, {
      algorithms: [...rule.algorithms],
      issuer: rule.issuer,
      audience: rule.audience,
      requiredClaims: ['exp', 'iat', 'sub'],
      maxTokenAge: rule.maxAgeSeconds,
      clockTolerance: toleranceSeconds,
      currentDate: new Date(clock()),
    });
    return payload;
  } catch (error) {
    throw new Unauthenticated(reasonOf(error));
  }
}

const REASONS: Readonly<Record<string, UnauthenticatedReason>> = {
  [errors.JWTExpired.code]: 'TOKEN_EXPIRED',
  [errors.JWTClaimValidationFailed.code]: 'TOKEN_CLAIMS_INVALID',
  [errors.JWSSignatureVerificationFailed.code]: 'TOKEN_SIGNATURE_INVALID',
  [errors.JOSEAlgNotAllowed.code]: 'TOKEN_SIGNATURE_INVALID',
};

/** The error itself is not passed on: it has the claims. What it is not known for is a token that cannot be read. */
function reasonOf(error: unknown): UnauthenticatedReason {
  return (error instanceof errors.JOSEError ? REASONS[error.code] : undefined) ?? 'TOKEN_MALFORMED';
}

/** When jose, asked again, would refuse it. */
function endOf({ exp, iat }: JWTPayload, rule: TokenIssuer, { toleranceSeconds }: VerifyOptions): number {
  if (exp === undefined || iat === undefined) throw invalid();
  return (Math.min(exp, iat + rule.maxAgeSeconds) + toleranceSeconds) * 1000;
}

function invalid(): Unauthenticated {
  return new Unauthenticated('TOKEN_CLAIMS_INVALID');
}
