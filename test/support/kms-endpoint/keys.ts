import { generateKeyPairSync, type KeyObject, randomBytes, randomUUID } from 'node:crypto';

export type Spec = 'ECC_NIST_EDWARDS25519' | 'ECC_NIST_P256' | 'ECC_SECG_P256K1' | 'RSA_2048' | 'HMAC_256';

export interface EndpointKey {
  readonly arn: string;
  readonly spec: Spec;
  readonly usage: string;
  /** As an administrator sets it. */
  state: 'Enabled' | 'Disabled' | 'PendingDeletion';
  /** Absent for an HMAC key. */
  readonly pair: { readonly publicKey: KeyObject; readonly privateKey: KeyObject } | undefined;
  readonly secret: Buffer;
}

export function newKey(
  spec: Spec,
  region: string,
  usage = spec === 'HMAC_256' ? 'GENERATE_VERIFY_MAC' : 'SIGN_VERIFY',
) {
  const arn = `arn:aws:kms:${region}:111122223333:key/${randomUUID()}`;
  const key: EndpointKey = { arn, spec, usage, state: 'Enabled', pair: newPair(spec), secret: randomBytes(32) };
  return key;
}

function newPair(spec: Spec): EndpointKey['pair'] {
  switch (spec) {
    case 'ECC_NIST_EDWARDS25519':
      return generateKeyPairSync('ed25519');
    case 'ECC_NIST_P256':
      return generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    case 'ECC_SECG_P256K1':
      return generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
    case 'RSA_2048':
      return generateKeyPairSync('rsa', { modulusLength: 2048 });
    case 'HMAC_256':
      return undefined;
  }
}
