import { execFile, execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { Pool } from 'undici';
import { CLIENTS, SAMPLE_AGENT_ID } from '../../src/certs/clients.ts';
import { makeDevelopmentCertificates } from '../../src/certs/development.ts';
import { loadIdentityMap } from '../../src/identity/identity-map.ts';
import { isUuid } from '../../src/ids.ts';
import { buildApp, listen } from '../http/fixture.ts';
import { certificateLogin } from '../identity/certificate-login.ts';
import { TRUST_DOMAIN } from './material.ts';

const DAY = 86_400_000;
const dir = t.testdir();
const file = (name: string) => join(dir, name);
const read = (name: string) => readFileSync(file(name), 'utf8');
const fingerprints = () =>
  Object.fromEntries(
    readdirSync(dir)
      .filter((name) => name.endsWith('.crt'))
      .map((name) => [name, new X509Certificate(read(name)).fingerprint256]),
  );

await makeDevelopmentCertificates(dir, { trustDomain: TRUST_DOMAIN });
const names = ['server', ...CLIENTS.map((client) => client.name)];

t.test('the files of the contract, keys for their owner only', async (t) => {
  const wanted = [
    'orchestrator',
    'operator',
    'kernel-approver',
    'agent',
    'gateway',
    'kernel-admin',
    'auditor',
    'outsider',
    'server',
  ];
  t.same(names.toSorted(), wanted.toSorted());
  const files = [...wanted, 'ca'].flatMap((name) => [`${name}.crt`, `${name}.key`]);
  t.same(readdirSync(dir).toSorted(), [...files, 'identity-map.json'].toSorted());
  for (const name of files.filter((name) => name.endsWith('.key')))
    t.equal(statSync(file(name)).mode & 0o777, 0o600, name);
});

t.test('OpenSSL accepts them for their purpose', async (t) => {
  for (const name of names) {
    const purpose = name === 'server' ? 'sslserver' : 'sslclient';
    const output = execFileSync('openssl', [
      'verify',
      '-x509_strict',
      '-purpose',
      purpose,
      '-CAfile',
      file('ca.crt'),
      file(`${name}.crt`),
    ]);
    t.match(output.toString(), /: OK/, name);
  }
});

t.test('names in the certificates', async (t) => {
  t.equal(
    new X509Certificate(read('server.crt')).subjectAltName,
    'DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1',
  );
  t.equal(
    new X509Certificate(read('kernel-admin.crt')).subjectAltName,
    'URI:spiffe://castellan.dev/human/kernel-admin',
  );
  t.equal(
    new X509Certificate(read('agent.crt')).subjectAltName,
    `URI:spiffe://castellan.dev/ws/demo/agent/${SAMPLE_AGENT_ID}`,
  );
  t.ok(isUuid(SAMPLE_AGENT_ID));
});

t.test('a real handshake as each of them', async (t) => {
  const authenticate = certificateLogin({
    identityMap: loadIdentityMap(file('identity-map.json'), TRUST_DOMAIN),
    trustDomain: TRUST_DOMAIN,
  });
  const ca = read('ca.crt');
  const app = await buildApp({
    server: { key: read('server.key'), cert: read('server.crt') },
    authority: { key: '', cert: ca },
    authenticate,
  });
  t.teardown(() => app.close());
  const port = await listen(app);
  const wanted: Record<string, number> = { gateway: 403, agent: 403, outsider: 404 };
  for (const { name } of CLIENTS) {
    const pool = new Pool(`https://127.0.0.1:${port}`, {
      connect: { ca, cert: read(`${name}.crt`), key: read(`${name}.key`) },
    });
    const answer = await pool.request({ path: '/v1/workspaces/demo/agents', method: 'GET' });
    const body = await answer.body.text();
    t.equal(answer.statusCode, wanted[name] ?? 200, `${name} ${body}`);
    await pool.close();
  }
  const curl = await promisify(execFile)('curl', [
    '-sS',
    '--cacert',
    file('ca.crt'),
    '--cert',
    file('operator.crt'),
    '--key',
    file('operator.key'),
    '--resolve',
    `localhost:${port}:127.0.0.1`,
    `https://localhost:${port}/v1/workspaces/demo/agents`,
  ]);
  t.equal(JSON.parse(curl.stdout).who, 'operator');
});

t.test('a second run keeps everything', async (t) => {
  const before = fingerprints();
  await makeDevelopmentCertificates(dir, { trustDomain: TRUST_DOMAIN });
  t.same(fingerprints(), before);
});

t.test('what is missing, spoilt or mismatched is made anew, and only that', async (t) => {
  const before = fingerprints();
  rmSync(file('operator.crt'));
  writeFileSync(file('auditor.crt'), 'spoilt');
  writeFileSync(file('outsider.key'), read('gateway.key'));
  writeFileSync(file('identity-map.json'), '{}');
  await makeDevelopmentCertificates(dir, { trustDomain: TRUST_DOMAIN });
  const after = fingerprints();
  const changed = Object.keys(after).filter((name) => after[name] !== before[name]);
  t.same(changed.toSorted(), ['auditor.crt', 'operator.crt', 'outsider.crt']);
  t.equal(loadIdentityMap(file('identity-map.json'), TRUST_DOMAIN).bySpiffe.size, 7);
});

t.test('what is about to expire is made anew by the same authority', async (t) => {
  const before = fingerprints();
  const later = Date.now() + 360 * DAY;
  await makeDevelopmentCertificates(dir, { trustDomain: TRUST_DOMAIN, clock: () => later });
  const after = fingerprints();
  t.equal(after['ca.crt'], before['ca.crt']);
  for (const name of names) t.not(after[`${name}.crt`], before[`${name}.crt`], name);
});

t.test('another trust domain is other clients; another authority is everything', async (t) => {
  await makeDevelopmentCertificates(dir, { trustDomain: 'example.org' });
  t.match(new X509Certificate(read('operator.crt')).subjectAltName, /spiffe:\/\/example\.org\/human\/operator/);
  t.equal(loadIdentityMap(file('identity-map.json'), 'example.org').bySpiffe.size, 7);
  rmSync(file('ca.key'));
  const before = fingerprints();
  await makeDevelopmentCertificates(dir, { trustDomain: 'example.org' });
  const after = fingerprints();
  for (const name of Object.keys(before)) t.not(after[name], before[name], name);
});
