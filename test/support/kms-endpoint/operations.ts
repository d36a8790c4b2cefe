import { constants, createHmac, sign as signMessage, timingSafeEqual, verify as verifyMessage } from 'node:crypto';
import type { EndpointKey, Spec } from './keys.ts';
import { Refusal } from './refusal.ts';
import { ecdsaOverDigest, pssOverDigest } from './sign-digest.ts';

export type Operation = 'DescribeKey' | 'GetPublicKey' | 'Sign' | 'Verify' | 'GenerateMac' | 'VerifyMac';
export type Input = Readonly<Record<string, unknown>>;
export type Reply = Record<string, unknown>;

const ALGORITHMS: Readonly<Record<Spec, readonly string[]>> = {
  ECC_NIST_EDWARDS25519: ['ED25519_SHA_512', 'ED25519_PH_SHA_512'],
  ECC_NIST_P256: ['ECDSA_SHA_256'],
  ECC_SECG_P256K1: ['ECDSA_SHA_256'],
  RSA_2048: ['RSASSA_PSS_SHA_256', 'RSASSA_PKCS1_V1_5_SHA_256'],
  HMAC_256: [],
};
/** Of a message that is sent as it is. */
const MAX_MESSAGE = 4096;
const PSS = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };

/** The answers of KMS for a key that exists. Throws Refusal as KMS would refuse. */
export const OPERATIONS: Readonly<Record<Operation, (key: EndpointKey, input: Input) => Reply>> = {
  DescribeKey: (key) => ({
    KeyMetadata: {
      Arn: key.arn,
      KeyId: key.arn.split('/')[1],
      AWSAccountId: '111122223333',
      Enabled: key.state === 'Enabled',
      KeyState: key.state,
      KeyUsage: key.usage,
      KeySpec: key.spec,
      SigningAlgorithms: ALGORITHMS[key.spec],
      CreationDate: 1_790_000_000.5,
      Origin: 'AWS_KMS',
      KeyManager: 'CUSTOMER',
      MultiRegion: false,
    },
  }),
  GetPublicKey(key) {
    requireUsable(key);
    const der = pairOf(key).publicKey.export({ type: 'spki', format: 'der' });
    const { arn, spec, usage } = key;
    return { KeyId: arn, PublicKey: base64(der), KeySpec: spec, KeyUsage: usage, SigningAlgorithms: ALGORITHMS[spec] };
  },
  Sign(key, input) {
    requireUsable(key, 'SIGN_VERIFY');
    const algorithm = algorithmOf(key, input);
    const message = messageOf(key, input);
    requireNoDryRun(input);
    return { KeyId: key.arn, Signature: base64(sign(key, input, message)), SigningAlgorithm: algorithm };
  },
  Verify(key, input) {
    requireUsable(key, 'SIGN_VERIFY');
    const algorithm = algorithmOf(key, input);
    const message = messageOf(key, input);
    if (input['MessageType'] === 'DIGEST')
      throw new Refusal('ValidationException', 'this endpoint verifies RAW messages');
    requireNoDryRun(input);
    const { publicKey } = pairOf(key);
    const valid = verifyMessage(hashOf(key), message, { key: publicKey, ...optionsOf(key) }, bytes(input, 'Signature'));
    if (!valid) throw new Refusal('KMSInvalidSignatureException', '');
    return { KeyId: key.arn, SignatureValid: true, SigningAlgorithm: algorithm };
  },
  GenerateMac(key, input) {
    requireUsable(key, 'GENERATE_VERIFY_MAC');
    requireNoDryRun(input);
    return { KeyId: key.arn, Mac: base64(mac(key, input)), MacAlgorithm: 'HMAC_SHA_256' };
  },
  VerifyMac(key, input) {
    requireUsable(key, 'GENERATE_VERIFY_MAC');
    const [expected, given] = [mac(key, input), bytes(input, 'Mac')];
    requireNoDryRun(input);
    if (given.length !== expected.length || !timingSafeEqual(expected, given)) {
      throw new Refusal('KMSInvalidMacException', '');
    }
    return { KeyId: key.arn, MacValid: true, MacAlgorithm: 'HMAC_SHA_256' };
  },
};

function sign(key: EndpointKey, input: Input, message: Buffer): Buffer {
  const { privateKey } = pairOf(key);
  if (input['MessageType'] !== 'DIGEST')
    return signMessage(hashOf(key), message, { key: privateKey, ...optionsOf(key) });
  return key.spec === 'RSA_2048' ? pssOverDigest(privateKey, message) : ecdsaOverDigest(privateKey, message);
}

function mac(key: EndpointKey, input: Input): Buffer {
  if (input['MacAlgorithm'] !== 'HMAC_SHA_256') throw new Refusal('ValidationException', 'MacAlgorithm');
  return createHmac('sha256', key.secret).update(bytes(input, 'Message')).digest();
}

function requireUsable(key: EndpointKey, usage = key.usage): void {
  if (key.state === 'Disabled') throw new Refusal('DisabledException', `${key.arn} is disabled.`);
  if (key.state !== 'Enabled') throw new Refusal('KMSInvalidStateException', `${key.arn} is pending deletion.`);
  if (key.usage !== usage) throw new Refusal('InvalidKeyUsageException', `${key.arn} key usage is ${key.usage}`);
}

function requireNoDryRun(input: Input): void {
  if (input['DryRun'] === true) throw new Refusal('DryRunOperationException', 'The request would have succeeded.');
}

function algorithmOf(key: EndpointKey, input: Input): unknown {
  const { SigningAlgorithm: algorithm } = input;
  if (ALGORITHMS[key.spec].some((one) => one === algorithm)) return algorithm;
  throw new Refusal('InvalidKeyUsageException', `Algorithm ${algorithm} is incompatible with key spec ${key.spec}.`);
}

function messageOf(key: EndpointKey, input: Input): Buffer {
  const message = bytes(input, 'Message');
  const { MessageType: type = 'RAW' } = input;
  if (type === 'RAW' && message.length <= MAX_MESSAGE) return message;
  const takesDigest = key.spec === 'ECC_NIST_P256' || key.spec === 'RSA_2048';
  if (type === 'DIGEST' && message.length === 32 && takesDigest) return message;
  throw new Refusal('ValidationException', `a message of ${message.length} bytes as ${type}`);
}

function bytes(input: Input, name: string): Buffer {
  const { [name]: value } = input;
  if (typeof value !== 'string' || value === '') throw new Refusal('ValidationException', `${name} is missing`);
  return Buffer.from(value, 'base64');
}

function pairOf(key: EndpointKey): NonNullable<EndpointKey['pair']> {
  if (key.pair === undefined) throw new Refusal('UnsupportedOperationException', `${key.arn} has no public key`);
  return key.pair;
}

function hashOf(key: EndpointKey): string | null {
  return key.spec === 'ECC_NIST_EDWARDS25519' ? null : 'sha256';
}

function optionsOf(key: EndpointKey): object {
  return key.spec === 'RSA_2048' ? PSS : {};
}

function base64(value: Uint8Array): string {
  return Buffer.from(value).toString('base64');
}
