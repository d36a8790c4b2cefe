import { type Static, Type } from '@sinclair/typebox';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import type { Digest } from '../crypto/digest.ts';
import { CodedError } from '../errors.ts';

export const PAYLOAD_TYPE = 'application/vnd.in-toto+json';
export const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1';
export const PREDICATE_TYPE = 'https://castellan.dev/proof/v1';

const UUID = '^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$';
export const closed = { additionalProperties: false } as const;
const Time = Type.String({ pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z$' });
const Uuid = Type.String({ pattern: UUID });
const Version = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
const DigestText = Type.Unsafe<Digest>(Type.String({ pattern: '^sha256:[0-9a-f]{64}$' }));
const PrincipalId = Type.String({ minLength: 1, maxLength: 512 });
const Roles = Type.Array(Type.String({ minLength: 1, maxLength: 64 }), { maxItems: 32 });

/** An approval carries the hash it was given for, so that it can be seen to be stale later (contract §7). */
const ProofApproval = Type.Object({ id: PrincipalId, roles: Roles, policyHash: DigestText, approvedAt: Time }, closed);

/** The members that a statement over many agents has once (shared-statement.ts). */
export const CommonMembers = {
  workspaceId: Type.String({ pattern: '^[a-z0-9][a-z0-9-]{0,62}$' }),
  policySet: Type.String({ minLength: 1, maxLength: 255 }),
  policyVersion: Version,
  policyHash: DigestText,
  issuedAt: Time,
  expiresAt: Time,
};

/** The members that each agent has of its own. */
export const OwnMembers = {
  agentId: Uuid,
  specVersion: Version,
  promotionId: Uuid,
  promoter: Type.Object({ id: PrincipalId, roles: Roles }, closed),
  approvals: Type.Array(ProofApproval, { maxItems: 64 }),
  previousProof: Type.Optional(DigestText),
};

const ProofPredicate = Type.Object({ ...CommonMembers, ...OwnMembers }, closed);

export const Subject = Type.Object(
  { name: Uuid, digest: Type.Object({ sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }) }, closed) },
  closed,
);

/** The in-toto Statement v1 of the contract (§8), over one agent. */
const ProofStatement = Type.Object(
  {
    _type: Type.Literal(STATEMENT_TYPE),
    subject: Type.Array(Subject, { minItems: 1, maxItems: 1 }),
    predicateType: Type.Literal(PREDICATE_TYPE),
    predicate: ProofPredicate,
  },
  closed,
);

export type ProofPredicate = Static<typeof ProofPredicate>;
export type ProofStatement = Static<typeof ProofStatement>;

/** A proof is not of the form of the contract (§8). */
export class ProofError extends CodedError {
  readonly code = 'MALFORMED';
}

const statementCheck = TypeCompiler.Compile(ProofStatement);

/** The statement that `specHash` of an agent was promoted under a policy. Throws ProofError for values out of form. */
export function buildStatement(facts: ProofPredicate & { specHash: Digest }): ProofStatement {
  const { specHash, ...predicate } = facts;
  return parseStatement({
    _type: STATEMENT_TYPE,
    subject: [subjectFor(predicate.agentId, specHash)],
    predicateType: PREDICATE_TYPE,
    predicate,
  });
}

/** `value` as a statement with exactly the members of the contract, consistent in itself; else ProofError. */
export function parseStatement(value: unknown): ProofStatement {
  if (!statementCheck.Check(value)) {
    const first = statementCheck.Errors(value).First();
    throw new ProofError(`the statement is not of the form of a proof: ${first?.path ?? ''} ${first?.message ?? ''}`);
  }
  const { agentId, approvals } = value.predicate;
  if (subjectOf(value).name !== agentId) throw new ProofError('the subject is another agent than the predicate');
  requireTimes(value.predicate, approvals);
  return value;
}

/** The subject that stands for a spec of an agent. */
export function subjectFor(agentId: string, specHash: Digest): Static<typeof Subject> {
  return { name: agentId, digest: { sha256: specHash.slice('sha256:'.length) } };
}

/** Throws ProofError unless all are times of the calendar, and the statement ends after it begins. */
export function requireTimes(
  { issuedAt, expiresAt }: Pick<ProofPredicate, 'issuedAt' | 'expiresAt'>,
  approvals: ProofPredicate['approvals'],
): void {
  if (![issuedAt, expiresAt, ...approvals.map((approval) => approval.approvedAt)].every(isRealTime)) {
    throw new ProofError('a time is not a time of the calendar');
  }
  if (expiresAt <= issuedAt) throw new ProofError('it expires before it is issued');
}

/** The spec hash that the statement is about. */
export function statedSpecHash(statement: ProofStatement): Digest {
  return `sha256:${subjectOf(statement).digest.sha256}`;
}

function subjectOf(statement: ProofStatement): ProofStatement['subject'][number] {
  const [subject] = statement.subject;
  if (subject === undefined) throw new ProofError('the statement has no subject');
  return subject;
}

/** Date takes 31 February for 3 March; the round trip shows it. */
function isRealTime(text: string): boolean {
  const time = Date.parse(text);
  return !Number.isNaN(time) && new Date(time).toISOString() === text;
}
