import { readFileSync } from 'node:fs';
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';

import { parseStrictJsonText, StrictJsonError } from '../http/strict-json.ts';
import type { Principal } from './principal.ts';
import { isAgentNamespace, parseSpiffeId } from './spiffe.ts';

const closed = { additionalProperties: false };

// `agent` is missing on purpose: an agent is known by its SPIFFE ID alone, never by an entry.
const MappedRole = Type.Union([
  Type.Literal('operator'),
  Type.Literal('orchestrator'),
  Type.Literal('kernel-approver'),
  Type.Literal('kernel-admin'),
  Type.Literal('auditor'),
  Type.Literal('gateway'),
]);

const WorkspaceId = Type.String({ pattern: '^[a-z0-9][a-z0-9-]{0,62}$' });

const EntrySchema = Type.Object(
  {
    match: Type.Union([
      Type.Object({ spiffe: Type.String({ maxLength: 2048 }) }, closed),
      Type.Object({ cn: Type.String({ minLength: 1, maxLength: 64 }) }, closed),
    ]),
    // Printable, without blanks: ids go into logs, audit events and policy input.
    id: Type.String({ pattern: '^[\\x21-\\x7e]{1,255}$' }),
    kind: Type.Union([Type.Literal('human'), Type.Literal('service')]),
    roles: Type.Array(MappedRole, { minItems: 1, uniqueItems: true }),
    workspaces: Type.Union([Type.Tuple([Type.Literal('*')]), Type.Array(WorkspaceId, { uniqueItems: true })]),
    // Where it may be elevated for some minutes.
    breakGlass: Type.Optional(Type.Array(WorkspaceId, { minItems: 1, uniqueItems: true })),
  },
  closed,
);

const MapSchema = Type.Object({ principals: Type.Array(EntrySchema) }, closed);
type Entry = Static<typeof EntrySchema>;

/** Certificate names to principals. */
export interface IdentityMap {
  readonly bySpiffe: ReadonlyMap<string, Principal>;
  readonly byCommonName: ReadonlyMap<string, Principal>;
}

/** The identity map cannot be used; `problems` has every reason, for start-up to print. */
export class IdentityMapInvalid extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(`The identity map cannot be used:\n${problems.map((line) => `  ${line}`).join('\n')}`);
    this.name = 'IdentityMapInvalid';
    this.problems = problems;
  }
}

/** Reads and checks the map at `path`; throws IdentityMapInvalid with every problem. */
export function loadIdentityMap(path: string, trustDomain: string): IdentityMap {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    const reason = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unreadable';
    throw new IdentityMapInvalid([`the file cannot be read (${reason})`]);
  }
  return parseIdentityMap(text, trustDomain);
}

/** Checks the text of a map; throws IdentityMapInvalid with every problem. */
export function parseIdentityMap(text: string, trustDomain: string): IdentityMap {
  const value = parseJson(text);
  if (!Value.Check(MapSchema, value)) {
    throw new IdentityMapInvalid(
      [...Value.Errors(MapSchema, value)].map((one) => `${one.path || '/'}: ${one.message}`),
    );
  }
  const problems = [...matchProblems(value.principals, trustDomain), ...identityProblems(value.principals)];
  if (problems.length > 0) throw new IdentityMapInvalid(problems);
  return index(value.principals);
}

function parseJson(text: string): unknown {
  try {
    return parseStrictJsonText(text);
  } catch (error) {
    if (error instanceof StrictJsonError)
      throw new IdentityMapInvalid([`the file is not strict JSON: ${error.message}`]);
    throw error;
  }
}

function matchProblems(entries: readonly Entry[], trustDomain: string): string[] {
  const seen = new Map<string, number>();
  return entries.flatMap(({ match }, position) => {
    const at = `/principals/${position}/match`;
    const key = JSON.stringify(match);
    const first = seen.get(key);
    seen.set(key, first ?? position);
    const problems = first === undefined ? [] : [`${at}: the same certificate as /principals/${first}`];
    return 'spiffe' in match ? [...problems, ...spiffeProblems(match.spiffe, trustDomain, at)] : problems;
  });
}

function spiffeProblems(uri: string, trustDomain: string, at: string): string[] {
  const id = parseSpiffeId(uri);
  if (id === undefined) return [`${at}/spiffe: not a SPIFFE ID`];
  if (id.trustDomain !== trustDomain) return [`${at}/spiffe: not in the trust domain ${trustDomain}`];
  return isAgentNamespace(id.path) ? [`${at}/spiffe: /ws/ is kept for agents`] : [];
}

// Two certificates of one person are fine; one id with two standings would make "no self-approval" depend on the certificate.
function identityProblems(entries: readonly Entry[]): string[] {
  const standings = new Map<string, string>();
  return entries.flatMap(({ id, kind, roles, workspaces, breakGlass = [] }, position) => {
    const standing = JSON.stringify([kind, [...roles].sort(), [...workspaces].sort(), [...breakGlass].sort()]);
    const known = standings.get(id) ?? standing;
    standings.set(id, known);
    return known === standing
      ? []
      : [`/principals/${position}/id: listed before with another kind, roles, workspaces or breakGlass`];
  });
}

function index(entries: readonly Entry[]): IdentityMap {
  const bySpiffe = new Map<string, Principal>();
  const byCommonName = new Map<string, Principal>();
  for (const { match, id, kind, roles, workspaces, breakGlass } of entries) {
    const all = workspaces[0] === '*';
    const principal: Principal = Object.freeze({
      id,
      kind,
      roles: Object.freeze([...roles]),
      workspaces: all ? '*' : Object.freeze([...workspaces]),
      ...(breakGlass === undefined ? {} : { breakGlass: Object.freeze([...breakGlass]) }),
    });
    if ('spiffe' in match) bySpiffe.set(match.spiffe, principal);
    else byCommonName.set(match.cn, principal);
  }
  return { bySpiffe, byCommonName };
}
