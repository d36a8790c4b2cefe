import { constants, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

const TYPE = 'application/vnd.castellan.audit-event.v1';
const BATCH_TYPE = 'application/vnd.castellan.audit-batch.v1';
const P256_ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

export type TestAlgorithm = 'Ed25519' | 'ECDSA-P256-SHA256' | 'RSA-PSS-SHA256';

export interface TestSigner {
  signerId: string;
  alg: TestAlgorithm | 'HMAC-SHA256';
  publicKey: string | null;
  purpose: string;
  state: string;
  notBefore: string | null;
  notAfter: string | null;
  revokedAt: string | null;
  trustedUpTo?: string | null;
  validFromSize?: number | null;
  validToSize?: number | null;
  replaces?: string | null;
  privateKey: KeyObject;
}

/** An active audit signer with a key of its own. */
export function testSigner(signerId: string, alg: TestAlgorithm = 'Ed25519'): TestSigner {
  const { publicKey, privateKey } = keyPair(alg);
  return {
    signerId,
    alg,
    publicKey: publicKey.export({ format: 'pem', type: 'spki' }).toString(),
    purpose: 'audit',
    state: 'active',
    notBefore: null,
    notAfter: null,
    revokedAt: null,
    privateKey,
  };
}

function keyPair(alg: TestAlgorithm): { publicKey: KeyObject; privateKey: KeyObject } {
  if (alg === 'Ed25519') return generateKeyPairSync('ed25519');
  if (alg === 'ECDSA-P256-SHA256') return generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return generateKeyPairSync('rsa', { modulusLength: 2048 });
}

/** The bytes of audit.md: DSSE PAE over the raw hash. */
export function signedBytes(hash: string): Buffer {
  const raw = Buffer.from(hash, 'hex');
  return Buffer.concat([Buffer.from(`DSSEv1 ${TYPE.length} ${TYPE} ${raw.length} `), raw]);
}

/** base64, as the row has it. */
export function signHash(key: KeyObject, hash: string): string {
  return signBytes(key, signedBytes(hash)).toString('base64');
}

/** base64, as the rows of a batch have it: DSSE PAE over the raw root. */
export function signRoot(key: KeyObject, root: Buffer): string {
  const message = Buffer.concat([Buffer.from(`DSSEv1 ${BATCH_TYPE.length} ${BATCH_TYPE} ${root.length} `), root]);
  return signBytes(key, message).toString('base64');
}

function signBytes(key: KeyObject, bytes: Buffer): Buffer {
  if (key.asymmetricKeyType === 'ed25519') return sign(null, bytes, key);
  if (key.asymmetricKeyType === 'rsa') {
    return sign('sha256', bytes, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 });
  }
  for (;;) {
    // OpenSSL does not promise low S; half of its signatures have it.
    const der = sign('sha256', bytes, { key, dsaEncoding: 'der' });
    const raw = der.subarray(der.length - (der.at(5 + (der[3] ?? 0)) ?? 0));
    if (BigInt(`0x${raw.toString('hex')}`) <= P256_ORDER / 2n) return der;
  }
}
