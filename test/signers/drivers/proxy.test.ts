import { constants, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';

import { KeyError } from '../../../src/crypto/verify.ts';
import { openProxySigner } from '../../../src/signers/drivers/proxy/proxy-signer.ts';
import { testCertificates } from '../../support/service.ts';
import { type ProxyAlgorithm, type ProxyFault, type SigningProxy, signingProxy } from '../../support/signing-proxy.ts';
import { type RemoteSubject, remoteConformance } from './conformance.ts';

const API_KEY = 'scoped-api-key-of-the-test';
const KEY_ID = 'audit/2026 №1';
const PASSING: readonly ProxyFault[] = ['busy', 'half-a-body', 'reset', 'throttled'];
const FAULTS: readonly ProxyFault[] = [
  ...PASSING,
  'encoded',
  'endless',
  'forbidden',
  'garbage',
  'internal-error',
  'no-signature',
  'redirect',
  'wrong-algorithm',
  'wrong-key',
  'wrong-media-type',
  'wrong-signature',
];

const certs = testCertificates(t);

async function pem(name: string): Promise<string> {
  return readFileSync(join(await certs, name), 'utf8');
}

async function serverTls() {
  return { key: await pem('server.key'), cert: await pem('server.crt'), ca: await pem('ca.crt') };
}

async function clientCertificate(name: string) {
  return { cert: await pem(`${name}.crt`), key: await pem(`${name}.key`) };
}

remoteConformance(t, 'proxy over mTLS, Ed25519', (t) => subject(t, 'Ed25519', 'certificate'));
remoteConformance(t, 'proxy over mTLS, ECDSA', (t) => subject(t, 'ECDSA-P256-SHA256', 'certificate'));
remoteConformance(t, 'proxy with an API key, RSA-PSS', (t) => subject(t, 'RSA-PSS-SHA256', 'API key'));

async function subject(t: Test, algorithm: ProxyAlgorithm, by: 'certificate' | 'API key'): Promise<RemoteSubject> {
  const client = await clientCertificate('orchestrator');
  const access = by === 'certificate' ? { peer: 'orchestrator' } : { apiKey: API_KEY };
  const proxy = await signingProxy(t, { algorithm, keyId: KEY_ID, tls: await serverTls(), ...access });
  const ca = await pem('ca.crt');
  return {
    async open(deadlineMs) {
      const credentials = by === 'certificate' ? { client } : { apiKey: API_KEY };
      const options = { signerId: 'proxy-1', keyId: KEY_ID, url: proxy.url, ca, deadlineMs };
      const signer = await openProxySigner({ ...options, ...credentials });
      t.teardown(() => signer.close());
      return signer;
    },
    verify(data, signature) {
      const hash = algorithm === 'Ed25519' ? null : 'sha256';
      const padding =
        algorithm === 'RSA-PSS-SHA256' ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 } : {};
      return verify(hash, data, { key: proxy.publicKey, ...padding }, signature);
    },
    secrets: [API_KEY, ...client.key.split('\n').filter((line) => line.length > 8 && !line.startsWith('-----'))],
    fail: (fault, requests) => setFault(proxy, fault, requests),
    heal() {
      proxy.fault = undefined;
    },
    faults: FAULTS,
    passing: PASSING,
  };
}

function setFault(proxy: SigningProxy, fault: string, requests = Number.POSITIVE_INFINITY): void {
  const known = [...FAULTS, 'silence' as const].find((one) => one === fault);
  if (known === undefined) throw new Error(`no such fault: ${fault}`);
  proxy.fault = known;
  proxy.faultsLeft = requests;
}

t.test('the proxy must be the right one, and we must be', async (t) => {
  const ca = await pem('ca.crt');
  const client = await clientCertificate('orchestrator');
  const proxy = await signingProxy(t, {
    algorithm: 'Ed25519',
    keyId: 'k',
    tls: await serverTls(),
    peer: 'orchestrator',
  });
  const base = { signerId: 'k', url: proxy.url, ca, client };
  const good = await openProxySigner({ ...base, url: `${proxy.url}/` });
  t.equal(proxy.tlsVersion, 'TLSv1.3');
  good.close();

  const unavailable = { code: 'SIGNER_UNAVAILABLE' };
  await t.rejects(openProxySigner({ ...base, ca: undefined }), unavailable, 'of an authority we do not know');
  await t.rejects(
    openProxySigner({ ...base, client: await clientCertificate('agent') }),
    unavailable,
    'another client',
  );
  await t.rejects(openProxySigner({ ...base, keyId: 'other' }), unavailable, 'a key it does not have');
  await t.rejects(openProxySigner({ ...base, algorithm: 'RSA-PSS-SHA256' }), KeyError);
  await t.rejects(openProxySigner({ ...base, client: undefined }), KeyError, 'no credentials');
  const bad = [
    'http://127.0.0.1:1',
    'https://u:p@127.0.0.1',
    'https://127.0.0.1/?q=1',
    'https://127.0.0.1/#f',
    'proxy',
  ];
  for (const url of bad) {
    const error = await openProxySigner({ ...base, url }).catch((error: unknown) => error);
    t.ok(error instanceof KeyError, url);
    t.notMatch(String(error), /u:p/);
  }
});

t.test('TLS 1.2 will do, 1.1 will not', async (t) => {
  const options = { algorithm: 'Ed25519', keyId: 'k', tls: await serverTls(), apiKey: API_KEY } as const;
  const open = async (url: string) => openProxySigner({ signerId: 'k', url, ca: await pem('ca.crt'), apiKey: API_KEY });
  const older = await signingProxy(t, { ...options, maxVersion: 'TLSv1.2' });
  (await open(older.url)).close();
  t.equal(older.tlsVersion, 'TLSv1.2');
  const oldest = await signingProxy(t, { ...options, maxVersion: 'TLSv1.1' });
  await t.rejects(open(oldest.url), { code: 'SIGNER_UNAVAILABLE' });
});
