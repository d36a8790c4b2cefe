import { constants, createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import t from 'tap';
import { isLowSDer, toLowS } from '../../src/crypto/ecdsa.ts';
import type { SignatureAlgorithm } from '../../src/crypto/signer.ts';
import {
  KeyError,
  type VerificationKey,
  verificationKey,
  verifySignature,
  verifySignatureAsync,
} from '../../src/crypto/verify.ts';
import fc from '../support/fast-check.ts';

const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const secret = Buffer.alloc(32, 7);
const ed25519 = generateKeyPairSync('ed25519');
const p256 = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });

interface Pair {
  key: VerificationKey;
  sign: (data: Uint8Array) => Buffer;
}

const pairs: Record<SignatureAlgorithm, Pair> = {
  Ed25519: {
    key: verificationKey('Ed25519', pem(ed25519.publicKey)),
    sign: (data) => sign(null, data, ed25519.privateKey),
  },
  'ECDSA-P256-SHA256': { key: verificationKey('ECDSA-P256-SHA256', pem(p256.publicKey)), sign: signP256 },
  'RSA-PSS-SHA256': { key: verificationKey('RSA-PSS-SHA256', pem(rsa.publicKey)), sign: (data) => signPss(data, 32) },
  'HMAC-SHA256': {
    key: verificationKey('HMAC-SHA256', secret),
    sign: (data) => createHmac('sha256', secret).update(data).digest(),
  },
};

for (const [algorithm, pair] of Object.entries(pairs)) {
  t.test(`${algorithm}: one changed bit, one byte more or less is refused`, async (t) => {
    const data = Buffer.from('what was decided');
    const signature = pair.sign(data);
    t.ok(await verifies(pair.key, data, signature));
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.nat(), async (inData, inSignature) => {
        const byData = await verifies(pair.key, flip(data, inData), signature);
        const bySignature = await verifies(pair.key, data, flip(signature, inSignature));
        return !byData && !bySignature;
      }),
      { numRuns: 300 },
    );
    t.notOk(await verifies(pair.key, data, Buffer.concat([signature, Buffer.of(0)])), 'longer');
    t.notOk(await verifies(pair.key, data, signature.subarray(0, -1)), 'shorter');
    t.notOk(await verifies(pair.key, data, Buffer.alloc(0)), 'empty');
    t.notOk(await verifies(pair.key, data, Buffer.alloc(signature.length)), 'zeros');
    for (const [other, { key }] of Object.entries(pairs)) {
      if (other !== algorithm) t.notOk(await verifies(key, data, signature), `with a key for ${other}`);
    }
  });
}

t.test('never throws on garbage', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...Object.values(pairs)),
      fc.uint8Array({ maxLength: 300 }),
      async (pair, bytes) => {
        return !(await verifies(pair.key, Buffer.from('data'), bytes));
      },
    ),
  );
});

t.test('ECDSA: only the low S, in strict DER', async (t) => {
  const { key } = pairs['ECDSA-P256-SHA256'];
  const data = Buffer.from('data');
  const low = signP256(data);
  const { r, s } = split(low);
  const high = der(r, integer(ORDER - s));
  t.notOk(await verifies(key, data, high), 'high S, which the library itself accepts');
  t.same(toLowS(high), low, 'which toLowS mends');
  t.notOk(await verifies(key, data, der(Buffer.concat([Buffer.of(0), r]), integer(s))), 'a padded integer');
  t.notOk(await verifies(key, data, Buffer.concat([Buffer.of(0x30, 0x81), low.subarray(1)])), 'a long-form length');
  t.notOk(isLowSDer(der(integer(ORDER), Buffer.of(1))), 'an integer as large as the order');
  const p1363 = sign('sha256', data, { key: p256.privateKey, dsaEncoding: 'ieee-p1363' });
  t.notOk(await verifies(key, data, p1363), 'the raw form');
  for (const bytes of ['', '30', '3006020100020100', '3006020101020100', '30060201800201ff', '3080020101020101']) {
    t.notOk(isLowSDer(Buffer.from(bytes, 'hex')), `no DER signature: ${bytes}`);
    t.equal(toLowS(Buffer.from(bytes, 'hex')), undefined);
  }
});

t.test('RSA: another salt length or padding is refused', async (t) => {
  const { key } = pairs['RSA-PSS-SHA256'];
  const data = Buffer.from('data');
  t.notOk(await verifies(key, data, signPss(data, 20)), 'salt 20');
  t.notOk(await verifies(key, data, signPss(data, 0)), 'salt 0');
  t.notOk(await verifies(key, data, sign('sha256', data, rsa.privateKey)), 'PKCS #1 v1.5');
});

t.test('a key that does not fit its algorithm is refused', async (t) => {
  const refused: [string, SignatureAlgorithm, string | Uint8Array][] = [
    ['Ed25519 for P-256', 'ECDSA-P256-SHA256', pem(ed25519.publicKey)],
    ['P-256 for Ed25519', 'Ed25519', pem(p256.publicKey)],
    ['P-256 for RSA', 'RSA-PSS-SHA256', pem(p256.publicKey)],
    ['X25519', 'Ed25519', pem(generateKeyPairSync('x25519').publicKey)],
    ['Ed448', 'Ed25519', pem(generateKeyPairSync('ed448').publicKey)],
    ['P-384', 'ECDSA-P256-SHA256', pem(generateKeyPairSync('ec', { namedCurve: 'secp384r1' }).publicKey)],
    ['secp256k1', 'ECDSA-P256-SHA256', pem(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey)],
    ['RSA-1024', 'RSA-PSS-SHA256', pem(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey)],
    ['RSA with exponent 3', 'RSA-PSS-SHA256', pem(smallExponent())],
    ['a private key', 'Ed25519', ed25519.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()],
    ['two keys', 'Ed25519', pem(ed25519.publicKey).repeat(2)],
    ['no PEM', 'Ed25519', 'hello'],
    ['broken PEM', 'Ed25519', '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n'],
    ['bytes for a public key', 'Ed25519', secret],
    ['a secret of 31 bytes', 'HMAC-SHA256', Buffer.alloc(31)],
    ['a public key as HMAC secret', 'HMAC-SHA256', pem(rsa.publicKey)],
  ];
  for (const [why, algorithm, material] of refused) {
    t.match(
      t.throws(() => verificationKey(algorithm, material), KeyError, why),
      { code: 'KEY_UNSUITABLE' },
    );
  }
});

/** Both variants must answer alike. */
async function verifies(key: VerificationKey, data: Uint8Array, signature: Uint8Array): Promise<boolean> {
  const answer = verifySignature(key, data, signature);
  if ((await verifySignatureAsync(key, data, signature)) !== answer) throw new Error('the two variants disagree');
  return answer;
}

function flip(bytes: Buffer, at: number): Buffer {
  const changed = Buffer.from(bytes);
  const bit = at % (bytes.length * 8);
  changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
  return changed;
}

function signP256(data: Uint8Array): Buffer {
  const low = toLowS(sign('sha256', data, p256.privateKey));
  if (low === undefined) throw new Error('the library made no DER');
  return low;
}

function signPss(data: Uint8Array, saltLength: number): Buffer {
  return sign('sha256', data, { key: rsa.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });
}

function split(signature: Buffer): { r: Buffer; s: bigint } {
  const length = signature.readUInt8(3);
  const s = signature.subarray(6 + length).toString('hex');
  return { r: signature.subarray(4, 4 + length), s: BigInt(`0x${s}`) };
}

function integer(value: bigint): Buffer {
  const bytes = Buffer.from(value.toString(16).padStart(64, '0'), 'hex');
  return bytes.readUInt8(0) >= 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes;
}

function der(r: Buffer, s: Buffer): Buffer {
  const body = Buffer.concat([Buffer.of(2, r.length), r, Buffer.of(2, s.length), s]);
  return Buffer.concat([Buffer.of(0x30, body.length), body]);
}

function smallExponent(): KeyObject {
  return generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 }).publicKey;
}

function pem(key: KeyObject): string {
  return key.export({ type: 'spki', format: 'pem' }).toString();
}
