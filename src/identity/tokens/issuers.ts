import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';

import { isSafeUrl } from '../../config/safe-url.ts';
import { parseStrictJson, StrictJsonError } from '../../http/strict-json.ts';
import type { Role } from '../../roles.ts';

/** Seconds since its issue for which a token counts, unless the file says otherwise. */
const DEFAULT_MAX_AGE = 3600;
/** RFC 9068 §2.1. */
const DEFAULT_TYPES = ['at+jwt'];

const closed = { additionalProperties: false };
const text = Type.String({ minLength: 1, maxLength: 2048 });

// Signatures by a key that the issuer alone has. What is shared (HS…) or nothing (none) is not on the list.
const Algorithm = Type.Union(
  (
    [
      ...(['ES256', 'ES384', 'ES512'] as const),
      ...(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const),
      ...(['EdDSA', 'Ed25519'] as const),
    ] as const
  ).map((name) => Type.Literal(name)),
);

// `agent` and `gateway` are missing on purpose: both are known by their certificate alone.
const GivenRole = Type.Union([
  Type.Literal('operator'),
  Type.Literal('orchestrator'),
  Type.Literal('kernel-approver'),
  Type.Literal('kernel-admin'),
  Type.Literal('auditor'),
]);

// The names from the outermost member inwards; as one text with dots between, or one by one where a name has a dot in it.
const ClaimPath = Type.Union([text, Type.Array(text, { minItems: 1, maxItems: 8 })]);

const IssuerSchema = Type.Object(
  {
    issuer: text,
    kind: Type.Union([Type.Literal('human'), Type.Literal('service')]),
    audience: text,
    algorithms: Type.Array(Algorithm, { minItems: 1, uniqueItems: true }),
    typ: Type.Optional(Type.Array(Type.String({ maxLength: 64 }), { minItems: 1, uniqueItems: true })),
    maxAgeSeconds: Type.Optional(Type.Integer({ minimum: 1, maximum: 86_400 })),
    jwksUri: Type.Optional(text),
    roles: Type.Object(
      { claim: ClaimPath, separator: Type.Optional(text), map: Type.Record(Type.String({ minLength: 1 }), GivenRole) },
      closed,
    ),
    workspaces: Type.Object({ claim: ClaimPath, separator: Type.Optional(text), all: Type.Optional(text) }, closed),
    breakGlass: Type.Optional(Type.Object({ claim: ClaimPath, separator: Type.Optional(text) }, closed)),
    requireCnf: Type.Optional(Type.Boolean()),
  },
  closed,
);

const FileSchema = Type.Object({ issuers: Type.Array(IssuerSchema, { maxItems: 64 }) }, closed);
type Entry = Static<typeof IssuerSchema>;

/** Where in a token values stand. */
export interface ClaimSource {
  readonly path: readonly string[];
  /** Between the values of a claim that is one text, such as `scope`; undefined: it is one value. */
  readonly separator: string | undefined;
}

/** Whose tokens count, and what they say. */
export interface TokenIssuer {
  /** Exactly as in `iss`. */
  readonly issuer: string;
  readonly kind: 'human' | 'service';
  readonly audience: string;
  readonly algorithms: ReadonlySet<string>;
  /** Lower-case, without `application/`; the empty text stands for a token that has no `typ`. */
  readonly types: ReadonlySet<string>;
  readonly maxAgeSeconds: number;
  /** Undefined: the one that its discovery document names. */
  readonly jwksUri: string | undefined;
  readonly roles: ClaimSource & { readonly map: ReadonlyMap<string, Role> };
  /** `all`: the value that stands for every workspace. */
  readonly workspaces: ClaimSource & { readonly all: string | undefined };
  /** The workspaces in which the subject may elevate itself; undefined: the issuer cannot say so. */
  readonly breakGlass: ClaimSource | undefined;
  readonly requireCnf: boolean;
}

/** The issuers cannot be used; `problems` has every reason, for start-up to print. */
export class TokenIssuersInvalid extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(`The token issuers cannot be used:\n${problems.map((line) => `  ${line}`).join('\n')}`);
    this.name = 'TokenIssuersInvalid';
    this.problems = problems;
  }
}

/** Checks the contents of the file; throws TokenIssuersInvalid with every problem. */
export function parseTokenIssuers(contents: Buffer): readonly TokenIssuer[] {
  const value = parse(contents);
  if (!Value.Check(FileSchema, value)) {
    throw new TokenIssuersInvalid(
      [...Value.Errors(FileSchema, value)].map((one) => `${one.path || '/'}: ${one.message}`),
    );
  }
  const problems = [...urlProblems(value.issuers), ...doubles(value.issuers)];
  if (problems.length > 0) throw new TokenIssuersInvalid(problems);
  return Object.freeze(value.issuers.map(issuerOf));
}

function parse(contents: Buffer): unknown {
  try {
    return parseStrictJson(contents);
  } catch (error) {
    if (error instanceof StrictJsonError) throw new TokenIssuersInvalid([error.message]);
    throw error;
  }
}

function urlProblems(entries: readonly Entry[]): string[] {
  return entries.flatMap(({ issuer, jwksUri }, position) => [
    ...(isSafeUrl(issuer) ? [] : [`/issuers/${position}/issuer: ${UNSAFE}`]),
    ...(jwksUri === undefined || isSafeUrl(jwksUri) ? [] : [`/issuers/${position}/jwksUri: ${UNSAFE}`]),
  ]);
}

const UNSAFE = 'must be https (or http on loopback), without credentials, query and fragment';

// One issuer may have several entries, such as one for people and one for services: the audience tells them apart.
function doubles(entries: readonly Entry[]): string[] {
  const seen = new Map<string, number>();
  return entries.flatMap(({ issuer, audience }, position) => {
    const key = JSON.stringify([issuer, audience]);
    const first = seen.get(key);
    seen.set(key, first ?? position);
    return first === undefined ? [] : [`/issuers/${position}: the same issuer and audience as /issuers/${first}`];
  });
}

function issuerOf({ roles, workspaces, ...entry }: Entry): TokenIssuer {
  return Object.freeze({
    issuer: entry.issuer,
    kind: entry.kind,
    audience: entry.audience,
    algorithms: new Set<string>(entry.algorithms),
    types: new Set((entry.typ ?? DEFAULT_TYPES).map(mediaType)),
    maxAgeSeconds: entry.maxAgeSeconds ?? DEFAULT_MAX_AGE,
    jwksUri: entry.jwksUri,
    roles: { ...sourceOf(roles), map: new Map<string, Role>(Object.entries(roles.map)) },
    workspaces: { ...sourceOf(workspaces), all: workspaces.all },
    breakGlass: entry.breakGlass && sourceOf(entry.breakGlass),
    requireCnf: entry.requireCnf ?? false,
  });
}

function sourceOf({ claim, separator }: NonNullable<Entry['breakGlass']>): ClaimSource {
  return { path: typeof claim === 'string' ? claim.split('.') : claim, separator };
}

/** A `typ` as it is compared: RFC 7515 §4.1.9 leaves `application/` out, and media types have no case. */
export function mediaType(typ: string): string {
  return typ.toLowerCase().replace(/^application\//, '');
}
