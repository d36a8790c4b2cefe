import { generateKeyPairSync, sign } from 'node:crypto';
import { bundleFromJSON } from '@sigstore/bundle';
import { type TrustMaterial, toSignedEntity, VerificationError, Verifier } from '@sigstore/verify';
import t from 'tap';

import type { DsseEnvelope } from '../../src/crypto/dsse.ts';
import { toLowS } from '../../src/crypto/ecdsa.ts';
import type { Signer } from '../../src/crypto/signer.ts';
import { type VerificationKey, verificationKey } from '../../src/crypto/verify.ts';
import { issueProof } from '../../src/proofs/build.ts';
import { openSharedProof } from '../../src/proofs/shared-proof.ts';
import { sharedStatement } from './shared.ts';
import { signerPair, statement } from './support.ts';

/** A verifier that is not ours, with nothing but the key of the registry: no transparency log, no time stamps. */
function verify(envelope: DsseEnvelope, { key }: VerificationKey): void {
  const bundle = bundleFromJSON({
    mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
    verificationMaterial: { publicKey: { hint: envelope.signatures[0]?.keyid }, tlogEntries: [] },
    dsseEnvelope: envelope,
  });
  const trust: TrustMaterial = {
    certificateAuthorities: [],
    timestampAuthorities: [],
    tlogs: [],
    ctlogs: [],
    publicKey: () => ({ publicKey: key, validFor: () => true }),
  };
  new Verifier(trust, { tlogThreshold: 0, ctlogThreshold: 0, tsaThreshold: 0 }).verify(toSignedEntity(bundle));
}

const KEYS = {
  Ed25519: () => signerPair('proof-1'),
  'ECDSA-P256-SHA256': () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const key = verificationKey('ECDSA-P256-SHA256', publicKey.export({ type: 'spki', format: 'pem' }).toString());
    const signer: Signer = {
      signerId: 'proof-1',
      algorithm: 'ECDSA-P256-SHA256',
      sign: async (data) => toLowS(sign('sha256', data, privateKey)) ?? Buffer.alloc(0),
    };
    return { signer, key };
  },
};
const STATEMENTS = { 'one agent': statement, 'several agents': sharedStatement };

for (const [algorithm, pair] of Object.entries(KEYS)) {
  for (const [what, make] of Object.entries(STATEMENTS)) {
    t.test(`sigstore verifies a proof of ${what} by ${algorithm}, and nothing else`, async (t) => {
      const { signer, key } = pair();
      const envelope = await issueProof(make(), signer, key);
      t.doesNotThrow(() => verify(envelope, key));

      const payload = Buffer.from(envelope.payload, 'base64').toString().replace('"demo"', '"dem0"');
      const sig = Buffer.from(envelope.signatures[0]?.sig ?? '', 'base64');
      sig.writeUInt8(sig.readUInt8(sig.length - 1) ^ 1, sig.length - 1);
      const refused: Record<string, [DsseEnvelope, VerificationKey]> = {
        'a changed payload': [{ ...envelope, payload: Buffer.from(payload).toString('base64') }, key],
        'another payload type': [{ ...envelope, payloadType: 'application/json' }, key],
        'a changed signature': [{ ...envelope, signatures: [{ keyid: 'proof-1', sig: sig.toString('base64') }] }, key],
        'another key': [envelope, pair().key],
      };
      for (const [why, [changed, with_]] of Object.entries(refused)) {
        t.throws(() => verify(changed, with_), VerificationError, why);
      }
    });
  }
}

t.test('and what is given out for a proof that refers to its statement', async (t) => {
  const { signer, key } = signerPair('proof-1');
  const stored = openSharedProof(await issueProof(sharedStatement(), signer, key));
  t.doesNotThrow(() => verify(stored.envelope(), key));
});
