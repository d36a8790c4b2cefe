import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';

import { generateEd25519 } from '../../src/signers/drivers/local/ed25519.ts';
import { verifyJson } from '../audit-verify/support/run.ts';
import { testDatabase } from '../support/database.ts';
import { kmsEndpoint } from '../support/kms-endpoint/kms-endpoint.ts';
import { testHome, until } from '../support/process.ts';
import { testCertificates, testService } from '../support/service.ts';
import { kmsServeEnv, publicKeyOf, type Replica, startReplica } from './support/kms-serve.ts';
import { reload } from './support/policies.ts';
import { SPEC } from './support/world.ts';

const AGENTS = '/v1/workspaces/demo/agents';

t.test('the audit key was in other hands: the whole drill', async (t) => {
  const kms = await kmsEndpoint(t);
  const certsDir = await testCertificates(t);
  const database = await testDatabase(t);
  const [stolen, fresh] = [kms.createKey('ECC_NIST_EDWARDS25519'), kms.createKey('ECC_NIST_EDWARDS25519')];
  const proof = ['proof-1', kms.createKey('ECC_NIST_EDWARDS25519')] as const;
  const checkpoint = ['checkpoint-1', kms.createKey('ECC_NIST_EDWARDS25519')] as const;
  const events = async (chain: string, after = 0) =>
    (
      await database.query(
        'SELECT seq::int, event_type, sign_mode, signer_id, ts FROM audit_events WHERE chain = $1 AND seq > $2 ORDER BY seq',
        [chain, after],
      )
    ).rows;
  const verify = async () => verifyJson(['--database-url', database.superuserUrl]);

  const before = await startReplica(
    t,
    await kmsServeEnv(certsDir, database, kms, { audit: ['audit-1', stolen], proof, checkpoint }),
  );
  for (const workspaceId of ['demo', 'other']) {
    t.equal((await before.call('kernel-admin', 'POST', '/v1/workspaces', { workspaceId })).status, 201);
  }
  const created = await before.call('operator', 'POST', AGENTS, { spec: SPEC });
  const agent = `${AGENTS}/${created.body.id}`;
  t.match((await before.call('kernel-admin', 'POST', `${agent}/promote`, {})).body, { success: true });
  t.equal((await before.call('orchestrator', 'POST', `${agent}/start`, {})).status, 200);
  const certain = (await events('demo')).at(-1)?.seq;
  const inLog = `SELECT EXISTS (SELECT FROM audit_checkpoint_entries WHERE chain = 'demo' AND size >= $1) AS covered`;
  await until('a checkpoint', async () => (await database.query(inLog, [certain])).rows[0].covered === true);
  const trustedUpTo = new Date().toISOString();
  // From here on the thief may have signed, too.
  t.equal((await before.call('operator', 'POST', AGENTS, { spec: SPEC })).status, 201);
  const doubtful = (await events('demo')).at(-1)?.seq;
  const activate = (at: Replica) =>
    at.call('kernel-admin', 'POST', '/v1/workspaces/other/policy/hotreload', reload({ revalidate: false }));
  t.equal((await activate(before)).status, 200);

  kms.disableKey(stolen.arn);
  const refused = await before.call('operator', 'POST', AGENTS, { spec: SPEC });
  t.match(refused, { status: 503, body: { code: 'SIGNER_UNAVAILABLE' } });
  t.equal((await events('demo')).at(-1)?.seq, doubtful, 'nothing was stored');
  t.equal(await before.readiness(), 503);
  t.equal((await before.call('operator', 'POST', `${agent}/stop`, {})).status, 200, 'the brakes need no key');

  const rotation = {
    reason: 'the key was seen elsewhere',
    replacement: { signerId: 'audit-2', alg: 'Ed25519', publicKey: publicKeyOf(fresh) },
  };
  t.equal(
    (await before.call('kernel-admin', 'POST', '/v1/signers/audit-1/rotate', rotation)).status,
    503,
    'not in haste',
  );
  const requested = await before.call('kernel-admin', 'POST', '/v1/signers/audit-1/rotate', {
    ...rotation,
    emergency: true,
  });
  t.match(requested, { status: 201, body: { state: 'pending' } }, requested.text);
  const compromise = { reason: 'the key was seen elsewhere', trustedUpTo };
  const said = await before.call('kernel-admin', 'POST', '/v1/signers/audit-1/compromise', compromise);
  t.match(said, { status: 200, body: { state: 'compromised', trustedUpTo } }, said.text);
  t.ok(said.body.validToSize > 0);
  const system = (await events('_system')).filter(({ sign_mode: mode }) => mode === 'deferred');
  t.same(
    system.map(({ event_type: type }) => type),
    ['signer.rotation.requested', 'signer.compromise'],
  );
  await before.stop();

  const after = await startReplica(
    t,
    await kmsServeEnv(certsDir, database, kms, { audit: ['audit-2', fresh], proof, checkpoint }),
  );
  t.match((await events('_system', system[0].seq)).slice(0, 3), [
    { event_type: 'signer.compromise', sign_mode: 'deferred' },
    { event_type: 'audit.deferred.covered', signer_id: 'audit-2' },
    { event_type: 'signer.rotation.applied', signer_id: 'audit-2' },
  ]);
  t.equal((await after.call('orchestrator', 'POST', `${agent}/start`, {})).status, 200, 'under the policy of before');
  t.match(await events('demo', doubtful), [
    { event_type: 'agent.stopped', sign_mode: 'deferred' },
    { event_type: 'audit.deferred.covered', signer_id: 'audit-2' },
    { event_type: 'agent.start.allowed', signer_id: 'audit-2' },
  ]);

  const elsewhere = await after.call('kernel-admin', 'POST', '/v1/workspaces/other/agents', { spec: SPEC });
  t.equal(elsewhere.status, 201, elsewhere.text);
  const start = () => after.call('kernel-admin', 'POST', `/v1/workspaces/other/agents/${elsewhere.body.id}/start`, {});
  t.match(await start(), { status: 403, body: { code: 'ADMISSION_DENIED' } }, 'not under a policy in doubt');
  t.match((await activate(after)).status, 503, 'which cannot be put in force again as it is');
  const rollback = { version: 1, revalidate: false };
  const back = await after.call('kernel-admin', 'POST', '/v1/workspaces/other/policy/rollback', rollback);
  t.equal(back.status, 200, back.text);
  t.equal((await start()).status, 200);

  const { code, report } = await verify();
  t.equal(code, 1);
  t.same(
    report.findings.map(({ chain, seq, class: name }) => [chain, seq, name]),
    [
      ['demo', doubtful, 'signer-compromised'],
      ['other', 3, 'signer-compromised'],
    ],
    'what lies behind the time of trust, and nothing else',
  );
  for (const chain of ['demo', 'other']) {
    const body = { signerId: 'audit-1', reason: 'as in the export of that day' };
    const vouched = await after.call('kernel-admin', 'POST', `/v1/workspaces/${chain}/audit/reattestations`, body);
    t.ok(vouched.status < 300, vouched.text);
  }
  const again = await verify();
  t.equal(again.code, 0, JSON.stringify(again.report.findings));
  t.match(again.report.findings, [
    { chain: 'demo', seq: doubtful, class: 'reattested' },
    { chain: 'other', seq: 3, class: 'reattested' },
  ]);
  await after.stop();
});

t.test('the proof key was lost: what it vouched for is stopped, and comes back by a fork', async (t) => {
  const one = await testService(t);
  const created = await one.call('operator', 'POST', AGENTS, { spec: SPEC });
  const agent = `${AGENTS}/${created.body.id}`;
  t.match((await one.call('kernel-admin', 'POST', `${agent}/promote`, {})).body, { success: true });
  t.equal((await one.call('orchestrator', 'POST', `${agent}/start`, {})).status, 200);

  const { home } = await testHome(t);
  const keyFile = join(home, 'proof-2.pem');
  const { privateKeyPem, publicKeyPem: publicKey } = generateEd25519();
  await writeFile(keyFile, privateKeyPem, { mode: 0o600 });
  const announce = { reason: 'lost', replacement: { signerId: 'proof-2', alg: 'Ed25519', publicKey }, emergency: true };
  t.equal((await one.call('kernel-admin', 'POST', '/v1/signers/proof-1/rotate', announce)).status, 201);
  t.equal((await one.call('kernel-admin', 'POST', '/v1/signers/proof-1/compromise', { reason: 'lost' })).status, 200);
  await until('it is stopped', async () => {
    const { body } = await one.call('operator', 'GET', agent);
    return body.status === 'quarantined';
  });
  t.match((await one.call('orchestrator', 'POST', `${agent}/start`, {})).status, 403);

  const proof = { source: 'local', signerId: 'proof-2', algorithm: 'Ed25519', keyFile, hmacSecret: undefined } as const;
  const two = await testService(t, { replicaOf: one, signers: { proof }, environment: 'production' });
  const fork = await two.call('kernel-admin', 'POST', `${agent}/fork`, { name: 'second' });
  t.equal(fork.status, 201, fork.text);
  const second = `${AGENTS}/${fork.body.id}`;
  t.match((await two.call('kernel-admin', 'POST', `${second}/promote`, {})).body, { success: true });
  t.equal((await two.call('orchestrator', 'POST', `${second}/start`, {})).status, 200);
  t.same((await verifyJson(['--database-url', one.database.superuserUrl])).report.findings, []);
});
