import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';

import { generateEd25519 } from '../../src/signers/drivers/local/ed25519.ts';
import { verifyJson } from '../audit-verify/support/run.ts';
import { testDatabase } from '../support/database.ts';
import { kmsEndpoint } from '../support/kms-endpoint/kms-endpoint.ts';
import { finished, testHome, until } from '../support/process.ts';
import { testCertificates, testService } from '../support/service.ts';
import { kmsServeEnv, publicKeyOf, startReplica } from './support/kms-serve.ts';
import { SPEC } from './support/world.ts';

const AGENTS = '/v1/workspaces/demo/agents';
const WRITES = 40;

t.test('the audit key is rotated while the service runs: two replicas on two keys keep one chain', async (t) => {
  const kms = await kmsEndpoint(t);
  const certsDir = await testCertificates(t);
  const database = await testDatabase(t);
  const [old, fresh] = [kms.createKey('ECC_NIST_EDWARDS25519'), kms.createKey('ECC_NIST_P256')];
  const proof = ['proof-1', kms.createKey('ECC_NIST_EDWARDS25519')] as const;
  const checkpoint = ['checkpoint-1', kms.createKey('ECC_NIST_EDWARDS25519')] as const;
  const oldEnv = await kmsServeEnv(certsDir, database, kms, { audit: ['audit-1', old], proof, checkpoint });
  const newEnv = await kmsServeEnv(certsDir, database, kms, { audit: ['audit-2', fresh], proof, checkpoint });
  const events = async (type: string) =>
    (await database.query('SELECT chain, seq, signer_id, payload FROM audit_events WHERE event_type = $1', [type]))
      .rows;
  const sound = async () => {
    const { code, report } = await verifyJson(['--database-url', database.superuserUrl]);
    t.equal(code, 0, JSON.stringify(report.findings));
    t.same(report.findings, []);
  };

  const one = await startReplica(t, oldEnv);
  t.equal((await one.call('kernel-admin', 'POST', '/v1/workspaces', { workspaceId: 'demo' })).status, 201);
  const rotation = {
    reason: 'yearly',
    replacement: { signerId: 'audit-2', alg: 'ECDSA-P256-SHA256', publicKey: publicKeyOf(fresh) },
  };
  t.match(await one.call('kernel-admin', 'POST', '/v1/signers/audit-1/rotate', rotation), {
    status: 201,
    body: { state: 'pending' },
  });
  kms.disableKey(fresh.arn);
  t.not((await finished(t, ['serve'], newEnv)).code, 0, 'a key that does not sign is not put in force');
  t.equal((await events('signer.rotation.applied')).length, 0);
  kms.enableKey(fresh.arn);

  const two = await startReplica(t, newEnv);
  t.match(await events('signer.rotation.applied'), [
    { signer_id: 'audit-2', payload: { signerId: 'audit-2', replaces: 'audit-1', registryDigest: /^sha256:/ } },
  ]);
  const states = async () =>
    (await two.call('auditor', 'GET', '/v1/signers')).body.signers.map(
      (signer: { signerId: string; state: string }) => `${signer.signerId} ${signer.state}`,
    );
  t.same(await states(), ['audit-1 retiring', 'audit-2 active', 'checkpoint-1 active', 'proof-1 active']);

  const written = await Promise.all(
    Array.from({ length: WRITES }, (_, n) =>
      (n % 2 === 0 ? one : two).call('operator', 'POST', AGENTS, { spec: SPEC }),
    ),
  );
  t.ok(written.every(({ status }) => status === 201));
  const { rows } = await database.query(
    `SELECT count(*)::int AS n, max(seq)::int AS last, count(DISTINCT signer_id)::int AS signers FROM audit_events WHERE chain = 'demo'`,
  );
  t.equal(rows[0].n, rows[0].last, 'one line, without a gap');
  t.equal(rows[0].signers, 2, 'by both');
  await sound();

  const retire = (at: typeof one) => at.call('kernel-admin', 'POST', '/v1/signers/audit-1/retire', {});
  t.match(await retire(one), { status: 409, body: { code: 'SIGNER_STATE_CONFLICT' } }, 'it signs with it itself');
  t.equal((await retire(two)).status, 200);
  t.equal((await one.call('operator', 'POST', AGENTS, { spec: SPEC })).status, 503, 'from now on it signs nothing');
  t.match(await retire(two), { status: 409 });
  await one.stop();
  await until('the range is closed', async () => (await events('signer.range.closed')).length === 1, 40_000);
  t.ok((await two.call('auditor', 'GET', '/v1/signers')).body.signers[0].validToSize > 0);
  t.equal((await two.call('operator', 'POST', AGENTS, { spec: SPEC })).status, 201);
  await sound();
  await two.stop();
});

t.test('production: a key that nobody has announced is refused, and leaves nothing', async (t) => {
  const one = await testService(t);
  const stored = async () => (await one.database.query('SELECT count(*)::int AS n FROM audit_events')).rows[0].n;
  const before = await stored();
  const { home } = await testHome(t);
  const keyFile = join(home, 'audit-2.pem');
  await writeFile(keyFile, generateEd25519().privateKeyPem, { mode: 0o600 });
  const audit = { source: 'local', signerId: 'audit-2', algorithm: 'Ed25519', keyFile, hmacSecret: undefined } as const;
  const start = (environment: 'production' | 'development') =>
    testService(t, { replicaOf: one, signers: { audit }, environment });
  // What becomes exit 78.
  await t.rejects(start('production'), {
    code: 'BAD_CONFIGURATION',
    problems: ['signer audit-2 is not in the registry; request a rotation first'],
  });
  t.equal(await stored(), before);
  await start('development');
  t.equal(await stored(), before + 1, 'elsewhere it is trusted, which is said');
});
