import { constants, verify } from 'node:crypto';
import t, { type Test } from 'tap';

import type { SignatureAlgorithm } from '../../../src/crypto/signer.ts';
import { openKmsSigner } from '../../../src/signers/drivers/kms/kms-signer.ts';
import { useCredentials } from '../../support/kms-endpoint/environment.ts';
import type { Spec } from '../../support/kms-endpoint/keys.ts';
import { type KmsFault, kmsEndpoint } from '../../support/kms-endpoint/kms-endpoint.ts';
import { type RemoteSubject, remoteConformance } from './conformance.ts';

const SPECS: readonly [Spec, SignatureAlgorithm][] = [
  ['ECC_NIST_EDWARDS25519', 'Ed25519'],
  ['ECC_NIST_P256', 'ECDSA-P256-SHA256'],
  ['RSA_2048', 'RSA-PSS-SHA256'],
];
const PASSING: readonly KmsFault[] = ['half-a-body', 'internal-error', 'reset', 'throttled', 'too-many-requests'];
const FAULTS: readonly KmsFault[] = [
  ...PASSING,
  'access-denied',
  'garbage',
  'no-signature',
  'token-quoted',
  'wrong-algorithm',
  'wrong-key',
  'wrong-signature',
];

for (const [spec, algorithm] of SPECS) remoteConformance(t, `kms ${algorithm}`, (t) => subject(t, spec));

async function subject(t: Test, spec: Spec): Promise<RemoteSubject> {
  const endpoint = await kmsEndpoint(t);
  useCredentials(t, endpoint.credentials);
  const { arn, pair } = endpoint.createKey(spec);
  const { secretAccessKey, sessionToken } = endpoint.credentials;
  return {
    async open(deadlineMs) {
      const signer = await openKmsSigner({ signerId: 'kms-1', keyArn: arn, endpoint: endpoint.url, deadlineMs });
      t.teardown(() => signer.close());
      return signer;
    },
    verify(data, signature) {
      const hash = spec === 'ECC_NIST_EDWARDS25519' ? null : 'sha256';
      const padding = spec === 'RSA_2048' ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 } : {};
      return pair !== undefined && verify(hash, data, { key: pair.publicKey, ...padding }, signature);
    },
    secrets: [secretAccessKey, sessionToken],
    fail(fault, requests = Number.POSITIVE_INFINITY) {
      const known = [...FAULTS, 'silence' as const].find((one) => one === fault);
      if (known === undefined) throw new Error(`no such fault: ${fault}`);
      endpoint.fault = known;
      endpoint.faultsLeft = requests;
    },
    heal() {
      endpoint.fault = undefined;
    },
    faults: FAULTS,
    passing: PASSING,
  };
}
