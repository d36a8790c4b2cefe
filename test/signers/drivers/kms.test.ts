import { constants, createHmac, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { GenerateMacCommand, KMSClient, VerifyMacCommand } from '@aws-sdk/client-kms';
import t, { type Test } from 'tap';

import { isLowSDer } from '../../../src/crypto/ecdsa.ts';
import { KeyError, verifySignature } from '../../../src/crypto/verify.ts';
import type { KmsAlgorithm } from '../../../src/signers/drivers/kms/algorithms.ts';
import { type KmsSignerOptions, openKmsSigner } from '../../../src/signers/drivers/kms/kms-signer.ts';
import { verifyWithKms } from '../../../src/signers/drivers/kms/verify-with-kms.ts';
import { createSigningQuota } from '../../../src/signers/drivers/signing-quota.ts';
import type { KeyedSigner } from '../../../src/signers/verified-signer.ts';
import { useCredentials } from '../../support/kms-endpoint/environment.ts';
import type { Spec } from '../../support/kms-endpoint/keys.ts';
import { type KmsFault, kmsEndpoint } from '../../support/kms-endpoint/kms-endpoint.ts';
import { testCertificates } from '../../support/service.ts';
import { type RemoteSubject, remoteConformance } from './conformance.ts';

const DATA = Buffer.from('what was decided');
const SPECS: readonly [Spec, KmsAlgorithm][] = [
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

t.test('only an enabled signing key, given by its ARN, is opened', async (t) => {
  const endpoint = await kmsEndpoint(t);
  useCredentials(t, endpoint.credentials);
  const { arn } = endpoint.createKey('ECC_NIST_EDWARDS25519');
  const open = (change: Partial<KmsSignerOptions>) =>
    openKmsSigner({ signerId: 'kms-1', keyArn: arn, endpoint: endpoint.url, ...change });
  const good = await open({ region: 'eu-central-1', algorithm: 'Ed25519' });
  t.match(good.signer, { signerId: 'kms-1', algorithm: 'Ed25519' });
  good.close();

  const unfit: Readonly<Record<string, Partial<KmsSignerOptions>>> = {
    'is an alias': { keyArn: 'alias/audit' },
    'which can be pointed': { keyArn: 'arn:aws:kms:eu-central-1:111122223333:alias/audit' },
    'not a full key ARN': { keyArn: arn.split('/')[1] ?? '' },
    'not in region eu-west-1': { region: 'eu-west-1' },
    'not ECDSA-P256-SHA256': { algorithm: 'ECDSA-P256-SHA256' },
    'for ENCRYPT_DECRYPT': { keyArn: endpoint.createKey('RSA_2048', 'ENCRYPT_DECRYPT').arn },
    'for GENERATE_VERIFY_MAC': { keyArn: endpoint.createKey('HMAC_256').arn },
    ECC_SECG_P256K1: { keyArn: endpoint.createKey('ECC_SECG_P256K1').arn },
    'is not https': { endpoint: 'http://kms.example' },
    'not a plain URL': { endpoint: 'https://user:word@kms.example' },
  };
  for (const [why, change] of Object.entries(unfit)) {
    const error = await open(change).catch((error: unknown) => error);
    t.ok(error instanceof KeyError, why);
    t.match(String(error), why);
  }

  endpoint.disableKey(arn);
  await t.rejects(open({}), { code: 'SIGNER_UNAVAILABLE', message: /is Disabled/ });
  const gone = arn.replace(/.$/, (last) => (last === '0' ? '1' : '0'));
  await t.rejects(open({ keyArn: gone }), { code: 'SIGNER_UNAVAILABLE', message: /NotFoundException/ });
});

t.test('a key that is disabled while in use', async (t) => {
  const { endpoint, signer } = await opened(t, 'ECC_NIST_EDWARDS25519');
  const { arn } = endpoint.createKey('RSA_2048');
  const another = await openKmsSigner({ signerId: 'kms-2', keyArn: arn, endpoint: endpoint.url });
  t.teardown(() => another.close());
  endpoint.disableKey(arn);
  const refused = { code: 'SIGNER_UNAVAILABLE', message: /DisabledException \(request / };
  await t.rejects(another.signer.sign(DATA), refused);
  await t.rejects(another.probe(), refused);
  await t.resolves(signer.signer.sign(DATA), 'another key goes on');
  endpoint.enableKey(arn);
  await t.resolves(another.probe());
  await t.resolves(another.signer.sign(DATA));
});

t.test('a probe signs nothing', async (t) => {
  const { endpoint, signer } = await opened(t, 'ECC_NIST_P256');
  await signer.probe();
  t.equal(endpoint.counts.Sign, 1);
  t.equal(endpoint.signatures, 0);
});

t.test('long messages', async (t) => {
  const long = Buffer.alloc(4097, 7);
  const ed25519 = await opened(t, 'ECC_NIST_EDWARDS25519');
  await t.rejects(ed25519.signer.signer.sign(long), { code: 'SIGNER_UNAVAILABLE', message: /at most 4096/ });
  for (const spec of ['ECC_NIST_P256', 'RSA_2048'] as const) {
    const { signer } = await opened(t, spec);
    t.ok(verifySignature(signer.key, long, await signer.signer.sign(long)), spec);
  }
});

t.test('ECDSA signatures come with the lower S', async (t) => {
  const { signer } = await opened(t, 'ECC_NIST_P256');
  // The endpoint gives either: 32 times the lower one by chance is as good as never.
  const signatures = await Promise.all(Array.from({ length: 32 }, () => signer.signer.sign(DATA)));
  t.ok(signatures.every(isLowSDer));
});

t.test('signatures keep to the quota', async (t) => {
  const perSecond = 200;
  const limits = { quota: createSigningQuota({ perSecond }), deadlineMs: 20_000 };
  const { signer } = await opened(t, 'ECC_NIST_EDWARDS25519', limits);
  const many = (one: KeyedSigner, count: number) => Array.from({ length: count }, () => one.signer.sign(DATA));
  const from = performance.now();
  await Promise.all([...many(signer, 250), ...many(signer.background, 50)]);
  t.ok(performance.now() - from > 1500, '40 at once, the others 160 a second');
});

t.test('a KMS that throttles more than it should slows us down, and no more', async (t) => {
  const { endpoint, signer } = await opened(t, 'ECC_NIST_EDWARDS25519', { deadlineMs: 20_000 });
  endpoint.perSecond = 50;
  await Promise.all(Array.from({ length: 100 }, () => signer.signer.sign(DATA)));
  t.ok(endpoint.counts.throttled > 0);
  t.equal(endpoint.signatures, 100);
});

t.test('over TLS, by the authority it is told', async (t) => {
  const dir = await testCertificates(t);
  const pem = (name: string) => readFileSync(join(dir, name), 'utf8');
  const endpoint = await kmsEndpoint(t, { key: pem('server.key'), cert: pem('server.crt') });
  useCredentials(t, endpoint.credentials);
  const { arn } = endpoint.createKey('ECC_NIST_P256');
  const options = { signerId: 'kms-1', keyArn: arn, endpoint: endpoint.url };
  const signer = await openKmsSigner({ ...options, ca: pem('ca.crt') });
  t.teardown(() => signer.close());
  t.ok(verifySignature(signer.key, DATA, await signer.signer.sign(DATA)));
  await t.rejects(openKmsSigner(options), { code: 'SIGNER_UNAVAILABLE', message: /DescribeKey/ }, 'unknown authority');
});

t.test('wrong credentials, or none', async (t) => {
  const endpoint = await kmsEndpoint(t);
  const { arn } = endpoint.createKey('ECC_NIST_P256');
  const options = { signerId: 'kms-1', keyArn: arn, endpoint: endpoint.url };
  useCredentials(t, { ...endpoint.credentials, secretAccessKey: 'another' });
  await t.rejects(openKmsSigner(options), { code: 'SIGNER_UNAVAILABLE', message: /InvalidSignatureException/ });
  useCredentials(t, { ...endpoint.credentials, sessionToken: 'another' });
  await t.rejects(openKmsSigner(options), { code: 'SIGNER_UNAVAILABLE', message: /UnrecognizedClientException/ });
  useCredentials(t, undefined);
  await t.rejects(openKmsSigner(options), { code: 'SIGNER_UNAVAILABLE', message: /CredentialsProviderError/ });
});

t.test("KMS's own word on a signature", async (t) => {
  for (const [spec, algorithm] of SPECS) {
    const { endpoint, keyArn, signer } = await opened(t, spec);
    const signature = await signer.signer.sign(DATA);
    const ask = (data: Buffer) => verifyWithKms({ keyArn, endpoint: endpoint.url, algorithm }, data, signature);
    t.equal(await ask(DATA), true, algorithm);
    t.equal(await ask(Buffer.from('something else')), false, algorithm);
    endpoint.disableKey(keyArn);
    await t.rejects(ask(DATA), { code: 'SIGNER_UNAVAILABLE', message: /DisabledException/ });
  }
});

t.test('the endpoint makes and checks MACs', async (t) => {
  const endpoint = await kmsEndpoint(t);
  useCredentials(t, endpoint.credentials);
  const { arn: KeyId, secret } = endpoint.createKey('HMAC_256');
  const client = new KMSClient({ region: endpoint.region, endpoint: endpoint.url, maxAttempts: 1 });
  t.teardown(() => client.destroy());
  const request = { KeyId, Message: DATA, MacAlgorithm: 'HMAC_SHA_256' } as const;
  const { Mac = Buffer.alloc(0) } = await client.send(new GenerateMacCommand(request));
  t.ok(createHmac('sha256', secret).update(DATA).digest().equals(Mac));
  t.match(await client.send(new VerifyMacCommand({ ...request, Mac })), { MacValid: true });
  const wrong = new VerifyMacCommand({ ...request, Mac: Buffer.alloc(32) });
  await t.rejects(client.send(wrong), { name: 'KMSInvalidMacException' });
});

async function opened(t: Test, spec: Spec, change: Partial<KmsSignerOptions> = {}) {
  const endpoint = await kmsEndpoint(t);
  useCredentials(t, endpoint.credentials);
  const { arn } = endpoint.createKey(spec);
  const signer = await openKmsSigner({ signerId: 'kms-1', keyArn: arn, endpoint: endpoint.url, ...change });
  t.teardown(() => signer.close());
  return { endpoint, keyArn: arn, signer };
}
