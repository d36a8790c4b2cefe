import { sign } from 'node:crypto';
import t, { type Test } from 'tap';

import type { SigningModeName } from '../../src/audit/signing-mode.ts';
import { pae } from '../../src/crypto/dsse.ts';
import { openKmsSigner } from '../../src/signers/drivers/kms/kms-signer.ts';
import { generateEd25519 } from '../../src/signers/drivers/local/ed25519.ts';
import { openPkcs11Signer } from '../../src/signers/drivers/pkcs11/pkcs11-signer.ts';
import { type KeyedSigner, verifiedSigner } from '../../src/signers/verified-signer.ts';
import { auditBench, type Bench } from '../audit/support.ts';
import { missingHsm, softHsm } from '../support/hsm/soft-hsm.ts';
import { useCredentials } from '../support/kms-endpoint/environment.ts';
import { kmsEndpoint } from '../support/kms-endpoint/kms-endpoint.ts';
import { cli } from './run.ts';

const CHAIN = 'alpha';
const ARN = 'arn:aws:kms:eu-central-1:111122223333:key/00000000-0000-4000-8000-000000000000';
const NOBODY = 'postgres://castellan@127.0.0.1:1/castellan';

async function append(bench: Bench, events: number, options: { mode?: SigningModeName; unsigned?: boolean } = {}) {
  const { mode = 'event', unsigned = false } = options;
  bench.signer.broken = unsigned;
  await bench.replica(mode).commit({
    chain: CHAIN,
    brake: unsigned,
    work: async (unit) => {
      for (let n = 0; n < events; n += 1) {
        const payload = { agentId: `agent-${n}` };
        unit.append({ type: 'agent.stopped', actor: { id: 'tester', kind: 'human' }, payload });
      }
    },
  });
  bench.signer.broken = false;
}

async function verifyLast(bench: Bench, args: readonly string[], env: Record<string, string> = {}) {
  const argv = ['audit', 'verify-last', '--chain', CHAIN, '--database-url', bench.database.superuserUrl, ...args];
  const { code, out, err } = await cli(argv, env);
  return { code, out, err, evidence: out.startsWith('{') ? JSON.parse(out) : {} };
}

async function benchWith(t: Test, keyed: KeyedSigner): Promise<Bench> {
  t.teardown(() => keyed.close?.());
  const publicKeyPem = keyed.key.key.export({ format: 'pem', type: 'spki' }).toString();
  return auditBench(t, [CHAIN], { signer: verifiedSigner(keyed), publicKeyPem });
}

t.test('KMS itself verifies, by the SDK', async (t) => {
  const endpoint = await kmsEndpoint(t);
  useCredentials(t, endpoint.credentials);
  for (const spec of ['ECC_NIST_EDWARDS25519', 'ECC_NIST_P256', 'RSA_2048'] as const) {
    const { arn } = endpoint.createKey(spec);
    const bench = await benchWith(t, await openKmsSigner({ signerId: 'kms-1', keyArn: arn, endpoint: endpoint.url }));
    const env = {
      AUDIT_SIGNING_KEY_SOURCE: 'kms',
      AUDIT_SIGNING_KMS_KEY_ID: arn,
      CASTELLAN_KMS_ENDPOINT: endpoint.url,
    };
    await append(bench, 2);
    const asked = endpoint.counts.Verify;
    const single = await verifyLast(bench, ['--json'], env);
    t.equal(single.code, 0, single.err + single.out);
    t.match(single.evidence, {
      ok: true,
      chain: CHAIN,
      seq: 2,
      signerId: 'kms-1',
      signMode: 'event',
      verifiedBy: 'kms',
      key: arn,
      result: 'good',
      problems: [],
    });
    t.equal(endpoint.counts.Verify - asked, 1, 'it was asked');

    await append(bench, 3, { mode: 'batch' });
    await append(bench, 1, { unsigned: true });
    const batch = await verifyLast(bench, ['--json'], env);
    t.equal(batch.code, 0, batch.err + batch.out);
    t.match(
      batch.evidence,
      { ok: true, seq: 6, signMode: 'batch', verifiedBy: 'kms' },
      'the root; not the unsigned one',
    );
    const page = await verifyLast(bench, [], env);
    t.match(page.out, `key          ${arn}\nresult       good\n`);
    t.match(page.out, /^verified by {2}AWS KMS/m);

    const { arn: other } = endpoint.createKey(spec);
    const refused = await verifyLast(bench, ['--json', '--kms-key', other], { CASTELLAN_KMS_ENDPOINT: endpoint.url });
    t.equal(refused.code, 2);
    t.match(refused.evidence, {
      ok: false,
      key: other,
      result: /^no evidence: the key of kms-1 in the registry is not/,
    });

    endpoint.disableKey(arn);
    const away = await verifyLast(bench, [], env);
    t.match(away, { code: 3, out: '', err: /Disabled/ });
  }
});

t.test('a log that was signed anew with a key of their own is no evidence of the KMS', async (t) => {
  const endpoint = await kmsEndpoint(t);
  useCredentials(t, endpoint.credentials);
  const { arn } = endpoint.createKey('ECC_NIST_EDWARDS25519');
  const bench = await benchWith(t, await openKmsSigner({ signerId: 'kms-1', keyArn: arn, endpoint: endpoint.url }));
  await append(bench, 1);
  const { privateKeyPem, publicKeyPem } = generateEd25519();
  const { rows } = await bench.database.query(`SELECT hash FROM audit_events WHERE chain = '${CHAIN}'`);
  const message = pae('application/vnd.castellan.audit-event.v1', Buffer.from(rows[0].hash, 'hex'));
  const signature = sign(null, message, privateKeyPem).toString('base64');
  await bench.database.query(`SET session_replication_role = replica;
    UPDATE audit_events SET signature = '${signature}'; UPDATE signers SET public_key = '${publicKeyPem}'`);
  t.equal((await verifyLast(bench, ['--json'])).code, 0, 'by the registry alone it looks good');
  const asked = await verifyLast(bench, ['--json', '--kms-key', arn], { CASTELLAN_KMS_ENDPOINT: endpoint.url });
  t.equal(asked.code, 2);
  t.match(asked.evidence, { ok: false, verifiedBy: 'kms', result: /^no evidence/ });
});

t.test('the token of an HSM verifies', { skip: missingHsm() }, async (t) => {
  const hsm = await softHsm(t, [{ kind: 'ECDSA-P256-SHA256', label: 'audit', id: '01' }]);
  const bench = await benchWith(t, await openPkcs11Signer({ signerId: 'hsm-1', ...hsm, key: 'audit' }));
  await append(bench, 3, { mode: 'batch' });
  const env = {
    AUDIT_SIGNING_KEY_SOURCE: 'pkcs11',
    CASTELLAN_AUDIT_SIGNING_PKCS11_KEY: 'audit',
    CASTELLAN_PKCS11_MODULE: hsm.module,
    CASTELLAN_PKCS11_TOKEN_LABEL: hsm.tokenLabel,
    CASTELLAN_PKCS11_PIN: hsm.pin,
  };
  const good = await verifyLast(bench, ['--json'], env);
  t.equal(good.code, 0, good.err + good.out);
  t.match(good.evidence, { ok: true, verifiedBy: 'token', key: `audit of token ${hsm.tokenLabel}` });
  const away = await verifyLast(bench, [], { ...env, CASTELLAN_PKCS11_TOKEN_LABEL: 'another' });
  t.match(away, { code: 3, out: '', err: /no token has the label another/ });
});

t.test('without either, the registered key, and it says so', async (t) => {
  const bench = await auditBench(t, [CHAIN]);
  t.match(await verifyLast(bench, []), { code: 2, out: '', err: /no signed event on chain alpha/ });
  await append(bench, 2);
  // More unsigned events than are read at first.
  await append(bench, 70, { unsigned: true });
  const good = await verifyLast(bench, ['--json']);
  t.equal(good.code, 0, good.err + good.out);
  t.match(good.evidence, { seq: 2, alg: 'Ed25519', verifiedBy: 'registry', key: null, result: 'good' });
  t.match((await verifyLast(bench, [])).out, /^verified by {2}this program alone/m);
});

t.test('what is not as it was signed', async (t) => {
  const edits: [string, RegExp][] = [
    [`actor_id = 'x' WHERE seq = 2`, /columns that differ from the body: actor/],
    [`body = replace(convert_from(body, 'UTF8'), 'agent-1', 'agent-9')::bytea WHERE seq = 2`, /hash is not that of/],
    [`signature = (SELECT signature FROM audit_events WHERE seq = 1) WHERE seq = 2`, /no valid signature of audit-1/],
    [`seq = 7 WHERE seq = 2`, /the head row is not at the newest event, which is seq 7/],
  ];
  for (const [edit, says] of edits) {
    const bench = await auditBench(t, [CHAIN]);
    await append(bench, 2);
    await bench.database.query(`SET session_replication_role = replica; UPDATE audit_events SET ${edit}`);
    const bad = await verifyLast(bench, ['--json']);
    t.equal(bad.code, 1, edit);
    t.match(bad.evidence, { ok: false, result: 'bad', problems: [says] });
  }
  const revoked = await auditBench(t, [CHAIN]);
  await append(revoked, 1);
  await revoked.database.query(`UPDATE signers SET state = 'revoked', revoked_at = '2020-01-01'`);
  t.match(await verifyLast(revoked, []), { code: 1, out: /audit-1 was revoked before/ });
});

t.test('who is to be asked must be clear', async (t) => {
  const wrong: [string[], Record<string, string>, RegExp][] = [
    [['--kms-key', 'alias/audit'], {}, /is an alias/],
    [['--chain', 'No Chain'], {}, /--chain is no workspace id/],
    [[], { AUDIT_SIGNING_KEY_SOURCE: 'kms' }, /AUDIT_SIGNING_KMS_KEY_ID is required/],
    [[], { AUDIT_SIGNING_KEY_SOURCE: 'vault' }, /AUDIT_SIGNING_KEY_SOURCE must be one of/],
    [
      [],
      { AUDIT_SIGNING_KEY_SOURCE: 'pkcs11', CASTELLAN_AUDIT_SIGNING_PKCS11_KEY: 'audit' },
      /CASTELLAN_PKCS11_PIN is required/,
    ],
  ];
  for (const [args, env, says] of wrong) {
    const { code, out, err } = await cli(['audit', 'verify-last', '--database-url', NOBODY, ...args], env);
    t.same([code, out], [64, ''], err);
    t.match(err, says);
  }
  t.match(await cli(['audit', 'verify-last', '--database-url', NOBODY, '--kms-key', ARN]), { code: 3, out: '' });
});
