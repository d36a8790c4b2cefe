import t, { type Test } from 'tap';

import { verifyJson } from '../audit-verify/support/run.ts';
import { testDatabase } from '../support/database.ts';
import { useCredentials } from '../support/kms-endpoint/environment.ts';
import { kmsEndpoint } from '../support/kms-endpoint/kms-endpoint.ts';
import { until } from '../support/process.ts';
import { type TestService, testService } from '../support/service.ts';
import { SPEC } from './support/world.ts';

const RECOVERED_WITHIN_MS = 15_000;

/** A service whose audit and proof keys are in a KMS of ours that speaks the real protocol. */
async function kmsService(t: Test) {
  const kms = await kmsEndpoint(t);
  useCredentials(t, kms.credentials);
  const audit = kms.createKey('ECC_NIST_EDWARDS25519');
  const proof = kms.createKey('ECC_NIST_P256');
  const database = await testDatabase(t);
  const at = await testService(t, {
    database,
    signers: {
      audit: { source: 'kms', signerId: 'audit-kms', keyArn: audit.arn },
      proof: { source: 'kms', signerId: 'proof-kms', keyArn: proof.arn },
      services: {
        kms: { endpoint: kms.url, caFile: undefined },
        proxy: { url: undefined, caFile: undefined, certFile: undefined, keyFile: undefined, apiKey: undefined },
        perSecond: 1000,
      },
    },
  });
  return { kms, audit, proof, database, at };
}

async function newAgent(at: TestService): Promise<string> {
  const created = await at.call('operator', 'POST', '/v1/workspaces/demo/agents', { spec: SPEC });
  return `/v1/workspaces/demo/agents/${String(created.body.id)}`;
}

async function readiness(at: TestService): Promise<number> {
  return (await fetch(`${at.service.opsUrl}/readyz`)).status;
}

t.test('events and proofs are signed by keys that are never here', async (t) => {
  const { kms, at, database } = await kmsService(t);
  const agent = await newAgent(at);
  t.match((await at.call('kernel-admin', 'POST', `${agent}/promote`, {})).body, { success: true });
  t.equal((await at.call('orchestrator', 'POST', `${agent}/start`, {})).status, 200);
  const { rows } = await database.query(`SELECT signer_id, alg, public_key FROM signers ORDER BY signer_id`);
  t.match(rows, [
    { signer_id: 'audit-kms', alg: 'Ed25519', public_key: /BEGIN PUBLIC KEY/ },
    { signer_id: 'proof-kms', alg: 'ECDSA-P256-SHA256', public_key: /BEGIN PUBLIC KEY/ },
  ]);
  const verified = await verifyJson(['--database-url', database.superuserUrl]);
  t.match(verified.report, { ok: true, findings: [] });

  t.equal(await readiness(at), 200);
  const before = kms.signatures;
  for (let n = 0; n < 3; n += 1) t.equal(await readiness(at), 200);
  t.equal(kms.signatures, before, 'readiness asks without signing');
});

t.test(
  'the key is disabled in the KMS: nothing permissive, the brakes hold, and all is well again by itself',
  async (t) => {
    const { kms, audit, at, database } = await kmsService(t);
    const agent = await newAgent(at);
    const other = await newAgent(at);
    t.equal((await at.call('orchestrator', 'POST', `${agent}/start`, {})).status, 200);
    const counted = async () =>
      (await database.query(`SELECT count(*)::int AS n FROM audit_events WHERE chain = 'demo'`)).rows[0].n;

    kms.disableKey(audit.arn);
    const before = await counted();
    const refused = await at.call('orchestrator', 'POST', `${other}/start`, {});
    t.equal(refused.status, 503);
    t.ok(Number(refused.headers['retry-after']) >= 1);
    t.equal(await counted(), before, 'nothing was stored');
    t.equal((await at.call('operator', 'GET', other)).body.status, 'stopped', 'and nothing changed');
    t.equal((await at.call('operator', 'POST', `${agent}/stop`, {})).status, 200, 'a brake needs no key');
    t.equal(await readiness(at), 503);
    t.match((await verifyJson(['--database-url', database.superuserUrl])).report, {
      ok: false,
      findings: [{ class: 'deferred-uncovered' }],
    });

    kms.enableKey(audit.arn);
    await until(
      'a start is signed again',
      async () => (await at.call('orchestrator', 'POST', `${other}/start`, {})).status === 200,
      RECOVERED_WITHIN_MS,
    );
    await until('ready again', async () => (await readiness(at)) === 200, RECOVERED_WITHIN_MS);
    const { rows } = await database.query(
      `SELECT event_type, sign_mode FROM audit_events WHERE chain = 'demo' AND seq > $1 ORDER BY seq LIMIT 3`,
      [before],
    );
    t.match(rows, [
      { event_type: 'agent.stopped', sign_mode: 'deferred' },
      { event_type: 'audit.deferred.covered', sign_mode: 'event' },
      { event_type: 'agent.start.allowed', sign_mode: 'event' },
    ]);
    t.match((await verifyJson(['--database-url', database.superuserUrl])).report, { ok: true, findings: [] });
  },
);

t.test('whatever the KMS does wrong: 503, nothing changed, and it recovers alone', async (t) => {
  const { kms, at, database } = await kmsService(t);
  const counted = async () => (await database.query('SELECT count(*)::int AS n FROM audit_events')).rows[0].n;
  for (const fault of ['wrong-signature', 'wrong-key', 'throttled', 'silence'] as const) {
    const agent = await newAgent(at);
    const before = await counted();
    kms.fault = fault;
    const refused = await at.call('orchestrator', 'POST', `${agent}/start`, {});
    t.equal(refused.status, 503, fault);
    t.ok(Number(refused.headers['retry-after']) >= 1);
    t.equal(await counted(), before);
    kms.fault = undefined;
    await until(
      `a start after ${fault}`,
      async () => (await at.call('orchestrator', 'POST', `${agent}/start`, {})).status === 200,
      RECOVERED_WITHIN_MS,
    );
    t.equal(await counted(), before + 1, 'one event, for the one that was allowed');
  }
});
