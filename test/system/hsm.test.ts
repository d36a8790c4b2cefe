import t from 'tap';

import { verifyJson } from '../audit-verify/support/run.ts';
import { testDatabase } from '../support/database.ts';
import { missingHsm, softHsm } from '../support/hsm/soft-hsm.ts';
import { finished } from '../support/process.ts';
import { testCertificates } from '../support/service.ts';
import { serveEnv, startReplica } from './support/kms-serve.ts';
import { SPEC } from './support/world.ts';

const AGENTS = '/v1/workspaces/demo/agents';

t.test('a service with every key in an HSM', { skip: missingHsm() }, async (t) => {
  const hsm = await softHsm(t, [
    { kind: 'Ed25519', label: 'audit', id: '01' },
    { kind: 'ECDSA-P256-SHA256', label: 'proof', id: '02' },
    { kind: 'Ed25519', label: 'checkpoint', id: '03' },
  ]);
  const database = await testDatabase(t);
  const certs = await testCertificates(t);
  const env = {
    ...hsm.env,
    ...(await serveEnv(certs, database)),
    AUDIT_SIGNING_KEY_SOURCE: 'pkcs11',
    CASTELLAN_AUDIT_SIGNING_PKCS11_KEY: 'audit',
    CASTELLAN_PROOF_SIGNING_KEY_SOURCE: 'pkcs11',
    CASTELLAN_PROOF_SIGNING_PKCS11_KEY: 'id:02',
    CASTELLAN_CHECKPOINT_SIGNING_KEY_SOURCE: 'pkcs11',
    CASTELLAN_CHECKPOINT_SIGNING_PKCS11_KEY: 'checkpoint',
    CASTELLAN_PKCS11_MODULE: hsm.module,
    CASTELLAN_PKCS11_TOKEN_LABEL: hsm.tokenLabel,
    CASTELLAN_PKCS11_PIN: hsm.pin,
  };
  const refused = await finished(t, ['serve'], { ...env, CASTELLAN_PKCS11_PIN: 'not-the-pin' });
  t.equal(refused.code, 78, refused.stderr);
  t.match(refused.stderr, 'PKCS#11: C_Login: CKR_PIN_INCORRECT');

  const { call, running, stop } = await startReplica(t, env);
  t.equal((await call('kernel-admin', 'POST', '/v1/workspaces', { workspaceId: 'demo' })).status, 201);
  const { body } = await call('operator', 'POST', AGENTS, { spec: SPEC });
  const agent = `${AGENTS}/${String(body.id)}`;
  t.match((await call('kernel-admin', 'POST', `${agent}/promote`, {})).body, { success: true });
  t.equal((await call('orchestrator', 'POST', `${agent}/start`, {})).status, 200);

  const { code, report } = await verifyJson(['--database-url', database.superuserUrl]);
  t.equal(code, 0, JSON.stringify(report.findings));
  const last = await finished(t, ['audit', 'verify-last', '--database-url', database.superuserUrl], env);
  t.equal(last.code, 0, last.stderr);
  t.match(last.stdout, /^verified by {2}the HSM/m);

  await stop();
  t.equal(running.child.exitCode, 0, running.stderr());
  t.notMatch(running.stdout() + running.stderr() + refused.stderr + last.stdout, hsm.pin, 'the PIN is nowhere');
});
