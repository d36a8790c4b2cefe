import t from 'tap';
import { buildStatement, ProofError, parseStatement, statedSpecHash } from '../../src/proofs/statement.ts';
import { AGENT, facts, OTHER_AGENT, OTHER_HASH, SPEC_HASH, statement } from './support.ts';

t.test('is the in-toto statement of the contract', async (t) => {
  const { specHash: _specHash, ...predicate } = facts();
  t.same(statement(), {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: AGENT, digest: { sha256: 'a'.repeat(64) } }],
    predicateType: 'https://castellan.dev/proof/v1',
    predicate,
  });
  t.equal(statedSpecHash(statement()), SPEC_HASH);
  t.equal(statement({ previousProof: OTHER_HASH }).predicate.previousProof, OTHER_HASH);
});

t.test('refuses what is not of that form', async (t) => {
  const good = statement();
  const { predicate } = good;
  const [subject] = good.subject;
  const { promotionId: _promotionId, ...withoutPromotion } = predicate;
  const refused: Record<string, unknown> = {
    'no object': [],
    'unknown member': { ...good, extra: 1 },
    'another statement version': { ...good, _type: 'https://in-toto.io/Statement/v0.1' },
    'another predicate type': { ...good, predicateType: 'https://slsa.dev/provenance/v1' },
    'no subject': { ...good, subject: [] },
    'two subjects': { ...good, subject: [subject, subject] },
    'another digest beside sha256': { ...good, subject: [{ ...subject, digest: { ...subject?.digest, md5: 'a' } }] },
    'upper-case digest': { ...good, subject: [{ name: AGENT, digest: { sha256: 'A'.repeat(64) } }] },
    'subject is another agent': { ...good, subject: [{ ...subject, name: OTHER_AGENT }] },
    'unknown predicate member': { ...good, predicate: { ...predicate, admin: true } },
    'missing predicate member': { ...good, predicate: withoutPromotion },
    'workspace of no form': { ...good, predicate: { ...predicate, workspaceId: 'Demo' } },
    'spec version 0': { ...good, predicate: { ...predicate, specVersion: 0 } },
    'spec version 1.5': { ...good, predicate: { ...predicate, specVersion: 1.5 } },
    'bare policy hash': { ...good, predicate: { ...predicate, policyHash: 'b'.repeat(64) } },
    'promoter with more members': {
      ...good,
      predicate: { ...predicate, promoter: { ...predicate.promoter, kind: 'x' } },
    },
    'approval without a hash': { ...good, predicate: { ...predicate, approvals: [{ id: 'bob', roles: [] }] } },
    'time without milliseconds': { ...good, predicate: { ...predicate, issuedAt: '2026-11-01T00:00:00Z' } },
    'time with an offset': { ...good, predicate: { ...predicate, issuedAt: '2026-11-01T00:00:00.000+00:00' } },
    'no day of the calendar': { ...good, predicate: { ...predicate, issuedAt: '2026-02-31T00:00:00.000Z' } },
    'ends as it begins': { ...good, predicate: { ...predicate, expiresAt: predicate.issuedAt } },
    'null previous proof': { ...good, predicate: { ...predicate, previousProof: null } },
  };
  for (const [why, value] of Object.entries(refused)) {
    t.match(
      t.throws(() => parseStatement(value), ProofError, why),
      { code: 'MALFORMED' },
    );
  }
  t.throws(() => buildStatement(facts({ agentId: 'agent-1' })), ProofError, 'nor is it ever built');
});
