import { type Static, Type } from '@sinclair/typebox';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import type { Digest } from '../crypto/digest.ts';
import {
  CommonMembers,
  closed,
  OwnMembers,
  PREDICATE_TYPE,
  ProofError,
  type ProofStatement,
  parseStatement,
  requireTimes,
  STATEMENT_TYPE,
  Subject,
  subjectFor,
} from './statement.ts';

/** Contract §8. */
const MAX_AGENTS = 1000;

const Common = Type.Object(CommonMembers, closed);
const Own = Type.Object(OwnMembers, closed);
const many = { minItems: 2, maxItems: MAX_AGENTS };

/** The statement of the contract (§8) over several agents: what they share once, and each agent's own beside its subject. */
const SharedStatement = Type.Object(
  {
    _type: Type.Literal(STATEMENT_TYPE),
    subject: Type.Array(Subject, many),
    predicateType: Type.Literal(PREDICATE_TYPE),
    predicate: Type.Object({ ...CommonMembers, subjects: Type.Array(Own, many) }, closed),
  },
  closed,
);

/** What the agents of one statement have in common. */
export type CommonFacts = Static<typeof Common>;
/** What a statement says of one agent alone. */
export type OwnFacts = Static<typeof Own> & { readonly specHash: Digest };
export type SharedStatement = Static<typeof SharedStatement>;
/** What the payload of a proof may be. */
export type AnyStatement = ProofStatement | SharedStatement;

const statementCheck = TypeCompiler.Compile(SharedStatement);

/** The statement over `agents`, two or more, in this order. Throws ProofError for values out of form. */
export function buildSharedStatement(common: CommonFacts, agents: readonly OwnFacts[]): SharedStatement {
  return parseSharedStatement({
    _type: STATEMENT_TYPE,
    subject: agents.map(({ agentId, specHash }) => subjectFor(agentId, specHash)),
    predicateType: PREDICATE_TYPE,
    predicate: { ...common, subjects: agents.map(({ specHash: _, ...own }) => own) },
  });
}

/** `value` as the statement of a proof, over one agent or over several; else ProofError. */
export function parseAnyStatement(value: unknown): AnyStatement {
  return hasSeveralSubjects(value) ? parseSharedStatement(value) : parseStatement(value);
}

export function isShared(statement: AnyStatement): statement is SharedStatement {
  return 'subjects' in statement.predicate;
}

/** What `statement` says of each of its agents, in its order. */
export function factsOf({ subject, predicate }: SharedStatement): OwnFacts[] {
  return predicate.subjects.map((own, index) => ({ ...own, specHash: `sha256:${subject[index]?.digest.sha256}` }));
}

/** What `statement` says of the agent, in the form of a statement over it alone; undefined when it does not name it. */
export function statementFor(statement: AnyStatement, agentId: string): ProofStatement | undefined {
  if (!isShared(statement)) return statement.predicate.agentId === agentId ? statement : undefined;
  const { subjects, ...common } = statement.predicate;
  const index = subjects.findIndex((own) => own.agentId === agentId);
  const [own, subject] = [subjects[index], statement.subject[index]];
  return own === undefined || subject === undefined ? undefined : viewOf(common, own, subject);
}

/** The statement over one agent that says the same. */
export function viewOf(common: CommonFacts, own: Static<typeof Own>, subject: Static<typeof Subject>): ProofStatement {
  return {
    _type: STATEMENT_TYPE,
    subject: [subject],
    predicateType: PREDICATE_TYPE,
    predicate: { ...common, ...own },
  };
}

function parseSharedStatement(value: unknown): SharedStatement {
  if (!statementCheck.Check(value)) {
    const first = statementCheck.Errors(value).First();
    throw new ProofError(`the statement is not of the form of a proof: ${first?.path ?? ''} ${first?.message ?? ''}`);
  }
  const { subject, predicate } = value;
  if (subject.length !== predicate.subjects.length) throw new ProofError('not every subject has its members');
  if (new Set(subject.map(({ name }) => name)).size < subject.length) throw new ProofError('an agent is named twice');
  for (const [index, own] of predicate.subjects.entries()) {
    if (subject[index]?.name !== own.agentId) throw new ProofError('a subject is another agent than its members');
    requireTimes(predicate, own.approvals);
  }
  return value;
}

function hasSeveralSubjects(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || !('subject' in value)) return false;
  return Array.isArray(value.subject) && value.subject.length > 1;
}
