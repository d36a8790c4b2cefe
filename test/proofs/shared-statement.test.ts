import t from 'tap';

import { canonicalBytes } from '../../src/crypto/canonical-json.ts';
import { sha256Digest } from '../../src/crypto/digest.ts';
import { issueProof } from '../../src/proofs/build.ts';
import type { ExpectedProof } from '../../src/proofs/checks.ts';
import { proofDigest } from '../../src/proofs/envelope.ts';
import { referredStatement } from '../../src/proofs/reference.ts';
import { openSharedProof } from '../../src/proofs/shared-proof.ts';
import {
  buildSharedStatement,
  factsOf,
  isShared,
  type OwnFacts,
  parseAnyStatement,
  statementFor,
} from '../../src/proofs/shared-statement.ts';
import { buildStatement, ProofError } from '../../src/proofs/statement.ts';
import { verifyProof } from '../../src/proofs/verify.ts';
import fc from '../support/fast-check.ts';
import { COMMON, ownFacts, sharedStatement } from './shared.ts';
import { AGENT, EXPIRES, ISSUED, OTHER_AGENT, OTHER_HASH, POLICY_HASH, SPEC_HASH, signerPair } from './support.ts';

const STRANGER = '0190b8f4-7c00-7000-8000-00000000ffff';
const { signer, entry, key } = signerPair('proof-1');

t.test('has what all share once, and each agent beside its subject', async (t) => {
  const [one, two] = [ownFacts(AGENT), ownFacts(OTHER_AGENT, { specHash: OTHER_HASH, previousProof: SPEC_HASH })];
  const { specHash: _one, ...first } = one;
  const { specHash: _two, ...second } = two;
  t.same(buildSharedStatement(COMMON, [one, two]), {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [
      { name: AGENT, digest: { sha256: 'a'.repeat(64) } },
      { name: OTHER_AGENT, digest: { sha256: 'c'.repeat(64) } },
    ],
    predicateType: 'https://castellan.dev/proof/v1',
    predicate: { ...COMMON, subjects: [first, second] },
  });
});

t.test('refuses what is not of that form', async (t) => {
  const good = sharedStatement();
  const { predicate, subject } = good;
  const [one, two] = predicate.subjects;
  const withSubjects = (subjects: unknown) => ({ ...good, predicate: { ...predicate, subjects } });
  const refused: Record<string, unknown> = {
    'an agent twice': { ...good, subject: [subject[0], subject[0]], predicate: { ...predicate, subjects: [one, one] } },
    'in another order': withSubjects([two, one]),
    'a subject without members': withSubjects([one]),
    'members without a subject': withSubjects([one, two, { ...two, agentId: STRANGER }]),
    'no members at all': { ...good, predicate: COMMON },
    'the members of one agent beside': { ...good, predicate: { ...predicate, agentId: AGENT } },
    'unknown member': { ...good, extra: 1 },
    'unknown predicate member': { ...good, predicate: { ...predicate, admin: true } },
    'unknown member of an agent': withSubjects([{ ...one, admin: true }, two]),
    'a shared member per agent': withSubjects([{ ...one, policyHash: POLICY_HASH }, two]),
    'another digest beside sha256': {
      ...good,
      subject: [{ ...subject[0], digest: { sha256: 'a'.repeat(64), md5: 'a' } }, subject[1]],
    },
    'an approval at no time of the calendar': withSubjects([
      one,
      {
        ...two,
        approvals: [{ id: 'bob', roles: [], policyHash: POLICY_HASH, approvedAt: '2026-02-31T00:00:00.000Z' }],
      },
    ]),
    'ends as it begins': { ...good, predicate: { ...predicate, expiresAt: predicate.issuedAt } },
    'one agent in the form of several': {
      ...good,
      subject: [subject[0]],
      predicate: { ...predicate, subjects: [one] },
    },
    'the form of one agent with two subjects': {
      ...good,
      predicate: statementFor(good, AGENT)?.predicate,
    },
  };
  for (const [why, value] of Object.entries(refused)) t.throws(() => parseAnyStatement(value), ProofError, why);
  t.throws(() => buildSharedStatement(COMMON, [ownFacts(AGENT)]), ProofError, 'nor is one over one agent ever built');
  t.throws(() => buildSharedStatement(COMMON, many(1001)), ProofError, 'nor over more than 1,000');
  t.equal(factsOf(buildSharedStatement(COMMON, many(1000))).length, 1000);
});

t.test('says of each agent what a statement over it alone would say', async () => {
  fc.assert(
    fc.property(agents(), (all) => {
      const statement = parseAnyStatement(JSON.parse(canonicalBytes(buildSharedStatement(COMMON, all)).toString()));
      if (!isShared(statement)) return false;
      const alone = all.every((own) => {
        const view = statementFor(statement, own.agentId);
        return view !== undefined && same(view, buildStatement({ ...COMMON, ...own }));
      });
      return alone && statementFor(statement, STRANGER) === undefined && same(factsOf(statement), all);
    }),
    { numRuns: 100 },
  );
});

t.test('kept as facts, it is the same envelope to the byte, and the same word on each agent', async (t) => {
  await fc.assert(
    fc.asyncProperty(agents(), async (all) => {
      const envelope = await issueProof(buildSharedStatement(COMMON, all), signer, key);
      const stored = openSharedProof(JSON.parse(JSON.stringify(envelope)));
      return (
        same(stored.envelope(), envelope) &&
        stored.digest === proofDigest(envelope) &&
        stored.signerId === 'proof-1' &&
        stored.statementFor(STRANGER) === undefined &&
        all.every((own) => same(stored.statementFor(own.agentId), buildStatement({ ...COMMON, ...own })))
      );
    }),
    { numRuns: 50 },
  );
  const alone = await issueProof(buildStatement({ ...COMMON, ...ownFacts(AGENT) }), signer, key);
  t.throws(() => openSharedProof(alone), ProofError, 'a statement over one agent is none to refer to');
  t.throws(() => openSharedProof({}), ProofError);
});

t.test('a reference is exactly the digest', async (t) => {
  const digest = sha256Digest('x');
  t.equal(referredStatement({ statement: digest }), digest);
  const none = [
    null,
    'x',
    [],
    {},
    { statement: 1 },
    { statement: digest.slice(7) },
    { statement: digest, payload: '' },
  ];
  for (const value of none) t.equal(referredStatement(value), undefined, JSON.stringify(value));
});

t.test('whether it holds depends on whom it is asked about', async (t) => {
  const facts = [
    ownFacts(AGENT),
    ownFacts(OTHER_AGENT, { specHash: OTHER_HASH, specVersion: 4 }),
    ownFacts('0190b8f4-7c00-7000-8000-000000000005', { specHash: sha256Digest('twice') }),
    ownFacts('0190b8f4-7c00-7000-8000-000000000006', { specHash: sha256Digest('twice') }),
  ];
  const envelope = await issueProof(buildSharedStatement(COMMON, facts), signer, key);
  const ask = (expected: ExpectedProof, now = ISSUED + 1000, listed = entry) =>
    verifyProof({ envelope, signer: () => listed, now, expected });
  t.match(ask({ agentId: AGENT, specHash: SPEC_HASH, specVersion: 3, workspaceId: 'demo', policyHash: POLICY_HASH }), {
    valid: true,
    statement: buildStatement({ ...COMMON, ...ownFacts(AGENT) }),
  });
  t.match(ask({ agentId: OTHER_AGENT, specHash: OTHER_HASH, specVersion: 4 }), { valid: true });
  t.match(ask({ agentId: OTHER_AGENT, specHash: SPEC_HASH }), { valid: false, reason: 'SPEC_HASH_MISMATCH' });
  t.match(ask({ agentId: OTHER_AGENT, specVersion: 3 }), { reason: 'SPEC_HASH_MISMATCH' });
  t.match(ask({ agentId: STRANGER }), { reason: 'MALFORMED', detail: 'the proof is about another agent' });
  t.match(ask({}), { reason: 'MALFORMED', detail: /several agents/ }, 'nobody is named');
  t.match(ask({ specHash: OTHER_HASH }), { valid: true, statement: { predicate: { agentId: OTHER_AGENT } } });
  t.match(ask({ specHash: sha256Digest('twice') }), { reason: 'MALFORMED', detail: /several agents/ }, 'two have it');
  t.match(ask({ specHash: sha256Digest('nobody') }), { reason: 'SPEC_HASH_MISMATCH' }, 'nobody has it');
  t.match(ask({ agentId: AGENT, workspaceId: 'other' }), { reason: 'MALFORMED' });
  t.match(ask({ agentId: AGENT, policyHash: OTHER_HASH }), { reason: 'POLICY_HASH_MISMATCH' });
  t.match(ask({ agentId: AGENT }, EXPIRES), { reason: 'EXPIRED' });
  t.match(ask({}, undefined, { ...entry, state: 'revoked' }), { reason: 'SIGNER_REVOKED' });
  t.match(ask({}, undefined, signerPair('proof-1').entry), { reason: 'SIGNATURE_INVALID' });
});

function many(count: number): OwnFacts[] {
  return Array.from({ length: count }, (_, n) => ownFacts(idOf(n)));
}

function idOf(n: number): string {
  return `0190b8f4-7c00-7000-8000-${n.toString(16).padStart(12, '0')}`;
}

/** Some agents, which may share anything but their ids. */
function agents() {
  const hash = fc.constantFrom(SPEC_HASH, OTHER_HASH, sha256Digest('x'));
  const text = fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme' }).filter((one) => !one.includes('\0'));
  const roles = fc.array(text, { maxLength: 3 });
  const own = fc.record(
    {
      specHash: hash,
      specVersion: fc.integer({ min: 1, max: 5 }),
      promoter: fc.record({ id: text, roles }),
      approvals: fc.array(fc.record({ id: text, roles, policyHash: hash, approvedAt: fc.constant(COMMON.issuedAt) }), {
        maxLength: 2,
      }),
      previousProof: hash,
    },
    { requiredKeys: ['specHash', 'specVersion', 'promoter', 'approvals'] },
  );
  return fc
    .array(own, { minLength: 2, maxLength: 6 })
    .map((all) => all.map((one, n) => ({ ...ownFacts(idOf(n)), ...one })));
}

function same(a: unknown, b: unknown): boolean {
  return canonicalBytes(a).equals(canonicalBytes(b));
}
