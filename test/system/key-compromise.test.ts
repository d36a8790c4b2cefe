import t from 'tap';

import { verifyJson } from '../audit-verify/support/run.ts';
import { testDatabase } from '../support/database.ts';
import { kmsEndpoint } from '../support/kms-endpoint/kms-endpoint.ts';
import { until } from '../support/process.ts';
import { testCertificates } from '../support/service.ts';
import { kmsServeEnv, publicKeyOf, startReplica } from './support/kms-serve.ts';
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
  t.equal((await before.call('kernel-admin', 'POST', '/v1/workspaces', { workspaceId: 'demo' })).status, 201);
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

  kms.disableKey(stolen.arn);
  const refused = await before.call('operator', 'POST', AGENTS, { spec: SPEC });
  t.match(refused, { status: 503, body: { code: 'SIGNER_UNAVAILABLE' } });
  t.equal((await events('demo')).at(-1)?.seq, doubtful, 'nothing was stored');
  t.equal(await before.readiness(), 503);
  t.equal((await before.call('operator', 'POST', `${agent}/stop`, {})).status, 200, 'the brakes need no key');

  const rotation = {
    signerId: 'audit-2',
    alg: 'Ed25519',
    publicKey: publicKeyOf(fresh),
    purpose: 'audit',
    replaces: 'audit-1',
    reason: 'the key was seen elsewhere',
  };
  t.equal((await before.call('kernel-admin', 'POST', '/v1/signers/rotations', rotation)).status, 503, 'not in haste');
  const requested = await before.call('kernel-admin', 'POST', '/v1/signers/rotations', {
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

  const { code, report } = await verify();
  t.equal(code, 1);
  t.same(
    report.findings.map(({ chain, seq, class: name }) => [chain, seq, name]),
    [['demo', doubtful, 'signer-compromised']],
    'what lies behind the time of trust, and nothing else',
  );
  const vouched = await after.call('kernel-admin', 'POST', '/v1/workspaces/demo/audit/reattestations', {
    signerId: 'audit-1',
    reason: 'as in the export of that day',
  });
  t.ok(vouched.status < 300, vouched.text);
  const again = await verify();
  t.equal(again.code, 0, JSON.stringify(again.report.findings));
  t.match(again.report.findings, [{ chain: 'demo', seq: doubtful, class: 'reattested' }]);
  await after.stop();
});
