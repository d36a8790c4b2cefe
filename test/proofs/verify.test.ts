import t from 'tap';
import { canonicalBytes } from '../../src/crypto/canonical-json.ts';
import { type DsseEnvelope, pae } from '../../src/crypto/dsse.ts';
import { type Signer, SignerError } from '../../src/crypto/signer.ts';
import { issueProof } from '../../src/proofs/build.ts';
import type { ExpectedProof, ProofFailure, ProofSigner } from '../../src/proofs/checks.ts';
import { checkSignature, openProof, parseProofEnvelope, proofDigest, signerIdOf } from '../../src/proofs/envelope.ts';
import { PAYLOAD_TYPE } from '../../src/proofs/statement.ts';
import { verifyProof } from '../../src/proofs/verify.ts';
import { createHmacSigner } from '../../src/signers/drivers/local/hmac.ts';
import fc from '../support/fast-check.ts';
import {
  AGENT,
  EXPIRES,
  ISSUED,
  OTHER_AGENT,
  OTHER_HASH,
  POLICY_HASH,
  SPEC_HASH,
  signerPair,
  statement,
} from './support.ts';

const { signer, entry, key } = signerPair('proof-1');
const envelope = await issueProof(statement(), signer, key);
const expected: ExpectedProof = {
  agentId: AGENT,
  workspaceId: 'demo',
  specHash: SPEC_HASH,
  specVersion: 3,
  policyHash: POLICY_HASH,
};

interface Question {
  envelope?: unknown;
  signer?: ProofSigner | undefined;
  now?: number;
  expected?: ExpectedProof;
}

function ask(question: Question = {}) {
  const listed = 'signer' in question ? question.signer : entry;
  return verifyProof({
    envelope: 'envelope' in question ? question.envelope : envelope,
    signer: (id) => (id === 'proof-1' ? listed : undefined),
    now: question.now ?? ISSUED + 1000,
    expected: question.expected ?? expected,
  });
}

t.test('a proof that was issued holds', async (t) => {
  t.same(ask(), { valid: true, statement: statement() });
  t.equal(ask({ expected: {} }).valid, true, 'nothing expected, nothing compared');
  t.equal(ask({ envelope: JSON.parse(JSON.stringify(envelope)) }).valid, true, 'after a way over the wire');
  for (const state of ['retiring', 'retired'] as const) {
    t.equal(ask({ signer: { ...entry, state } }).valid, true, `its signer is ${state} by now`);
  }
  t.equal(ask({ now: EXPIRES - 1 }).valid, true, 'in its last millisecond');
  t.equal(ask({ now: ISSUED - 60_000 }).valid, true, 'on a replica whose clock is a minute late');
  t.equal(ask({ signer: { ...entry, notBefore: ISSUED, notAfter: ISSUED } }).valid, true, 'at the edge of its range');
});

t.test('each reason has its case', async (t) => {
  const renamed = { ...envelope, signatures: [{ keyid: 'proof-2', sig: signatureOf(envelope) }] };
  const other = signerPair('proof-1');
  const cases: [string, ProofFailure, Question][] = [
    ['no envelope', 'MALFORMED', { envelope: 'proof' }],
    ['an unknown member', 'MALFORMED', { envelope: { ...envelope, alg: 'none' } }],
    ['another payload type', 'MALFORMED', { envelope: { ...envelope, payloadType: 'application/json' } }],
    [
      'two signatures',
      'MALFORMED',
      { envelope: { ...envelope, signatures: [...envelope.signatures, ...envelope.signatures] } },
    ],
    ['a signer nobody knows', 'SIGNER_UNKNOWN', { envelope: renamed }],
    ['a signer for another purpose', 'SIGNER_UNKNOWN', { signer: { ...entry, purpose: 'audit' } }],
    ['a signer not in force yet', 'SIGNER_UNKNOWN', { signer: { ...entry, state: 'pending' } }],
    ['issued before the signer was', 'SIGNER_UNKNOWN', { signer: { ...entry, notBefore: ISSUED + 1 } }],
    ['issued after the signer ended', 'SIGNER_UNKNOWN', { signer: { ...entry, notAfter: ISSUED - 1 } }],
    ['a revoked signer', 'SIGNER_REVOKED', { signer: { ...entry, state: 'revoked' } }],
    ['a compromised signer', 'SIGNER_REVOKED', { signer: { ...entry, state: 'compromised' } }],
    ['a signature by another key', 'SIGNATURE_INVALID', { signer: other.entry }],
    ['another agent', 'MALFORMED', { expected: { ...expected, agentId: OTHER_AGENT } }],
    ['another workspace', 'MALFORMED', { expected: { ...expected, workspaceId: 'other' } }],
    ['expired to the millisecond', 'EXPIRED', { now: EXPIRES }],
    ['issued in the future', 'EXPIRED', { now: ISSUED - 60_001 }],
    ['no time at all', 'EXPIRED', { now: Number.NaN }],
    ['another spec', 'SPEC_HASH_MISMATCH', { expected: { ...expected, specHash: OTHER_HASH } }],
    ['another spec version', 'SPEC_HASH_MISMATCH', { expected: { ...expected, specVersion: 4 } }],
    ['another policy', 'POLICY_HASH_MISMATCH', { expected: { ...expected, policyHash: OTHER_HASH } }],
  ];
  for (const [why, reason, question] of cases) t.match(ask(question), { valid: false, reason, detail: /\w/ }, why);
});

t.test('the first failure in the documented order is the answer', async (t) => {
  const all = { ...expected, agentId: OTHER_AGENT, specHash: OTHER_HASH, policyHash: OTHER_HASH };
  const bad: Question = { now: EXPIRES, expected: all };
  t.match(ask({ ...bad, signer: { ...signerPair('proof-1').entry, state: 'revoked' } }), { reason: 'SIGNER_REVOKED' });
  t.match(ask({ ...bad, signer: signerPair('proof-1').entry }), { reason: 'SIGNATURE_INVALID' });
  t.match(ask(bad), { reason: 'MALFORMED' });
  t.match(ask({ ...bad, expected: { ...all, agentId: AGENT } }), { reason: 'EXPIRED' });
  t.match(ask({ expected: { ...all, agentId: AGENT } }), { reason: 'SPEC_HASH_MISMATCH' });
});

t.test('a well-signed payload must still be a canonical statement', async (t) => {
  const text = canonicalBytes(statement()).toString();
  const payloads: Record<string, string> = {
    'no JSON': 'proof',
    'not canonical': JSON.stringify(statement(), undefined, 1),
    'a member twice': text.replace('{"_type"', '{"predicateType":"x","_type"'),
    'another escape of the same text': text.replace('demo', '\\u0064emo'),
    'two subjects': text.replace(/"subject":\[(\{.*\})\]/, '"subject":[$1,$1]'),
    'an empty object': '{}',
  };
  for (const [why, payload] of Object.entries(payloads)) {
    t.not(payload, text, `${why}: is another text`);
    t.match(ask({ envelope: await signed(Buffer.from(payload)) }), { reason: 'MALFORMED' }, why);
  }
  t.equal(ask({ envelope: await signed(Buffer.from(text)) }).valid, true);
});

t.test('any changed bit of payload or signature is refused', async () => {
  const payload = Buffer.from(envelope.payload, 'base64');
  const sig = Buffer.from(signatureOf(envelope), 'base64');
  fc.assert(
    fc.property(fc.nat(), fc.nat(), (inPayload, inSignature) => {
      const byPayload = ask({ envelope: { ...envelope, payload: flip(payload, inPayload) } });
      const signatures = [{ keyid: 'proof-1', sig: flip(sig, inSignature) }];
      const bySignature = ask({ envelope: { ...envelope, signatures } });
      return [byPayload, bySignature].every((answer) => !answer.valid && answer.reason === 'SIGNATURE_INVALID');
    }),
    { numRuns: 500 },
  );
});

t.test('answers anything at all without throwing', async () => {
  fc.assert(fc.property(fc.anything(), (value) => !ask({ envelope: value }).valid));
  fc.assert(
    fc.property(fc.anything(), fc.anything(), (payload, signatures) => {
      return !ask({ envelope: { payloadType: PAYLOAD_TYPE, payload, signatures } }).valid;
    }),
  );
});

t.test('the algorithm comes from the registry', async (t) => {
  // The public key as HMAC secret: the forgery that works where the envelope may choose.
  const secret = key.key.export({ type: 'spki', format: 'der' });
  const forger = createHmacSigner({ signerId: 'proof-1', secret });
  t.match(ask({ envelope: await signed(canonicalBytes(statement()), forger) }), { reason: 'SIGNATURE_INVALID' });
});

t.test('the pieces, for checks that report apart', async (t) => {
  const parsed = parseProofEnvelope(envelope);
  t.same(openProof(parsed), statement());
  t.equal(signerIdOf(parsed), 'proof-1');
  t.equal(checkSignature(parsed, key), true);
  t.equal(checkSignature(parsed, signerPair('proof-1').key), false);
  t.match(proofDigest(parsed), /^sha256:[0-9a-f]{64}$/);
  t.equal(proofDigest(await signed(canonicalBytes(statement()), signerPair('x').signer)), proofDigest(parsed));
});

t.test('no proof leaves that its registered key does not confirm', async (t) => {
  const broken: Signer = { ...signer, sign: async () => Buffer.alloc(64) };
  const empty: Signer = { ...signer, sign: async () => Buffer.alloc(0) };
  const shared = createHmacSigner({ signerId: 'proof-1', secret: Buffer.alloc(32) });
  for (const wrong of [signerPair('proof-1').signer, broken, empty, shared]) {
    await t.rejects(issueProof(statement(), wrong, key), { code: 'SIGNER_UNAVAILABLE', constructor: SignerError });
  }
  await t.rejects(issueProof(statement(), shared, key), { message: /registered for Ed25519/ }, 'says which it is');
  await t.rejects(issueProof(statement(), signer, key, AbortSignal.abort()), { code: 'SIGNER_UNAVAILABLE' });
});

async function signed(payload: Buffer, by: Signer = signer): Promise<DsseEnvelope> {
  const sig = await by.sign(pae(PAYLOAD_TYPE, payload));
  const signatures = [{ keyid: 'proof-1', sig: sig.toString('base64') }];
  return { payloadType: PAYLOAD_TYPE, payload: payload.toString('base64'), signatures };
}

function signatureOf({ signatures }: DsseEnvelope): string {
  return signatures[0]?.sig ?? '';
}

function flip(bytes: Buffer, at: number): string {
  const changed = Buffer.from(bytes);
  const bit = at % (bytes.length * 8);
  changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
  return changed.toString('base64');
}
