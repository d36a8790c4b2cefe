import { generateKeyPairSync } from 'node:crypto';
import t from 'tap';

import type { Signer } from '../../src/crypto/signer.ts';
import { verificationKey } from '../../src/crypto/verify.ts';
import { createLocalSigner, generateEd25519 } from '../../src/signers/drivers/local/ed25519.ts';
import { createHmacSigner } from '../../src/signers/drivers/local/hmac.ts';
import { createSigners } from '../../src/signers/signers.ts';
import { findRevocations } from '../../src/signers/store.ts';
import { type KeyedSigner, verifiedSigner } from '../../src/signers/verified-signer.ts';
import { ADMIN, appender, governance, governedAgent, OPERATOR, WORKSPACE } from '../admission/fixture.ts';
import { apiOf } from '../promotion/api.ts';

const DATA = Buffer.from('data');

function keyed(signerId: string): KeyedSigner {
  const { privateKeyPem, publicKeyPem } = generateEd25519();
  return { signer: createLocalSigner({ signerId, privateKeyPem }), key: verificationKey('Ed25519', publicKeyPem) };
}

t.test('a signature is only used when the key confirms it', async (t) => {
  const good = keyed('a');
  t.equal((await verifiedSigner(good).sign(DATA)).length, 64);
  const repointed = { signer: good.signer, key: keyed('a').key };
  await t.rejects(verifiedSigner(repointed).sign(DATA), { code: 'SIGNER_UNAVAILABLE' });
  const broken: Signer = { ...good.signer, sign: () => Promise.reject(new Error('socket hang up')) };
  await t.rejects(verifiedSigner({ ...good, signer: broken }).sign(DATA), { code: 'SIGNER_UNAVAILABLE' });
  const deaf: Signer = { ...good.signer, sign: () => Promise.withResolvers<Buffer>().promise };
  const deadline = new AbortController();
  const late = verifiedSigner({ ...good, signer: deaf }).sign(DATA, deadline.signal);
  deadline.abort();
  await t.rejects(late, { code: 'SIGNER_UNAVAILABLE' }, 'whether or not the driver minds the signal');
  await t.rejects(verifiedSigner(good).sign(DATA, AbortSignal.abort()), { code: 'SIGNER_UNAVAILABLE' });
  const hmac = createHmacSigner({ signerId: 'h', secret: Buffer.alloc(32, 1) });
  t.throws(() => verifiedSigner({ signer: hmac, key: good.key }), { code: 'SIGNER_UNAVAILABLE' });
});

t.test('boot lists the own signers, once', async (t) => {
  const world = await governance(t);
  await world.signers.ensureRegistered(world.audit);
  t.match(await world.registry.list(), [
    { signerId: 'audit-1', alg: 'Ed25519', purpose: 'audit', state: 'active' },
    { signerId: 'proof-1', alg: 'Ed25519', purpose: 'proof', state: 'active' },
  ]);
  const events = await world.events(['signer.registered'], '_system');
  t.match(events, [{ payload: { signerId: 'audit-1' } }, { payload: { signerId: 'proof-1' } }]);
  t.equal(events.length, 2);
  await world.signers.trial();

  world.switches.auditDown = true;
  await world.signers.ensureRegistered(world.audit);
  await t.rejects(world.signers.trial(), { code: 'SIGNER_UNAVAILABLE' });
});

t.test('boot refuses to run against a registry with another key', async (t) => {
  const world = await governance(t);
  const { storage, audit, auditDriver, proofDriver } = world;
  const clock = Date.now;
  const otherKey = createSigners({ storage, clock, auditDriver, proofDriver: keyed('proof-1') });
  await t.rejects(otherKey.ensureRegistered(audit), { code: 'SIGNER_MISMATCH' });
  const { signer, key } = proofDriver;
  const renamed = { key, signer: { ...signer, signerId: 'proof-2' } };
  const sameKey = createSigners({ storage, clock, auditDriver, proofDriver: renamed });
  await t.rejects(sameKey.ensureRegistered(audit), { code: 'SIGNER_MISMATCH' });
  const told: string[] = [];
  const trustsUnlisted = (signerId: string) => told.push(signerId);
  const detail = /registered under another id/;
  await t.rejects(sameKey.ensureRegistered(audit, { trustsUnlisted }), { code: 'SIGNER_MISMATCH', message: detail });
  t.same(told, [], 'nothing is trusted, so nothing is told');
  const unlisted = createSigners({ storage, clock, auditDriver, proofDriver: keyed('proof-3') });
  await unlisted.ensureRegistered(audit, { trustsUnlisted });
  t.same(told, ['proof-3']);
});

t.test('two first boots at the same time register once', async (t) => {
  const world = await governance(t);
  await world.database.query('DELETE FROM signers; ALTER TABLE audit_events DISABLE TRIGGER USER;');
  await world.database.query("DELETE FROM audit_events; DELETE FROM audit_heads WHERE chain = '_system'");
  const { storage, auditDriver, proofDriver } = world;
  const boots = [1, 2].map(() => {
    const signers = createSigners({ storage, clock: Date.now, auditDriver, proofDriver });
    return signers.ensureRegistered(appender(t, storage, signers.audit, Date.now));
  });
  await Promise.all(boots);
  t.equal((await world.events([], '_system')).length, 2);
});

t.test('a shared secret verifies from configuration, and has no key in the registry', async (t) => {
  const world = await governance(t);
  const secret = Buffer.alloc(32, 7);
  const proofDriver = {
    signer: createHmacSigner({ signerId: 'proof-h', secret }),
    key: verificationKey('HMAC-SHA256', secret),
  };
  const { storage, audit, auditDriver } = world;
  const signers = createSigners({ storage, clock: Date.now, auditDriver, proofDriver });
  await signers.ensureRegistered(audit, { trustsUnlisted: () => undefined });
  await signers.trial();
  t.equal((await signers.proofKey()).algorithm, 'HMAC-SHA256');
  t.match(
    (await world.registry.list()).find((one) => one.signerId === 'proof-h'),
    { alg: 'HMAC-SHA256', publicKey: null },
  );
  const stranger = await world.storage.read('_system', (trx) => world.signers.find(trx, 'proof-h'));
  t.equal(stranger, undefined, 'without the secret nobody can verify');
});

t.test('the registry over HTTP', async (t) => {
  const world = await governance(t);
  const app = await apiOf(t, world);
  const send = (method: 'GET' | 'POST', url: string, as: string, payload?: object) =>
    app.inject({ method, url, headers: { 'x-as': as }, ...(payload && { payload }) });
  const { publicKeyPem } = generateEd25519();
  const body = { signerId: 'kernel-1', alg: 'Ed25519', publicKey: publicKeyPem, purpose: 'manifest' };

  const registered = await send('POST', '/v1/signers', 'kernel-admin@*', body);
  t.equal(registered.statusCode, 201);
  t.match(registered.json(), { ...body, state: 'active', notBefore: null, notAfter: null, revokedAt: null });
  t.match((await world.events(['signer.registered'], '_system')).at(-1), { payload: { signerId: 'kernel-1' } });
  const list = await send('GET', '/v1/signers', 'auditor');
  t.same(
    list.json().signers.map((one: { signerId: string }) => one.signerId),
    ['audit-1', 'kernel-1', 'proof-1'],
  );

  const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ type: 'spki', format: 'pem' });
  const cases: { why: string; change: object; as?: string; status: number; code: string }[] = [
    { why: 'the id is taken', change: {}, status: 409, code: 'ALREADY_EXISTS' },
    { why: 'one key, one purpose', change: { signerId: 'k2', purpose: 'proof' }, status: 409, code: 'ALREADY_EXISTS' },
    {
      why: 'the same key in another spelling',
      change: { signerId: 'k2', publicKey: `\n${publicKeyPem.replaceAll('\n', '\r\n')}\n` },
      status: 409,
      code: 'ALREADY_EXISTS',
    },
    { why: 'another algorithm', change: { signerId: 'k2', publicKey: p256 }, status: 422, code: 'SIGNER_INVALID' },
    { why: 'no key', change: { signerId: 'k2', publicKey: 'x' }, status: 422, code: 'SIGNER_INVALID' },
    {
      why: 'a private key must never lie in a registry',
      change: { signerId: 'k2', publicKey: generateEd25519().privateKeyPem },
      status: 422,
      code: 'SIGNER_INVALID',
    },
    { why: 'a shared secret', change: { signerId: 'k2', alg: 'HMAC-SHA256' }, status: 422, code: 'SIGNER_INVALID' },
    {
      why: 'a window that ends before it begins',
      change: {
        signerId: 'k2',
        publicKey: generateEd25519().publicKeyPem,
        notBefore: '2027-01-01T00:00:00Z',
        notAfter: '2026-01-01T00:00:00Z',
      },
      status: 422,
      code: 'SIGNER_INVALID',
    },
    { why: 'an unknown algorithm', change: { signerId: 'k2', alg: 'none' }, status: 400, code: 'VALIDATION_FAILED' },
    { why: 'an unknown member', change: { state: 'active' }, status: 400, code: 'VALIDATION_FAILED' },
    { why: 'not an admin', change: {}, as: 'operator@*', status: 403, code: 'PERMISSION_DENIED' },
    { why: 'not of all workspaces', change: {}, as: 'kernel-admin', status: 403, code: 'PERMISSION_DENIED' },
  ];
  for (const { why, change, as = 'kernel-admin@*', status, code } of cases) {
    const response = await send('POST', '/v1/signers', as, { ...body, ...change });
    t.equal(response.statusCode, status, why);
    t.equal(response.json().code, code, why);
  }
  t.equal((await world.registry.list()).length, 3, 'nothing of that was stored');

  const revoke = (signerId: string, as = 'kernel-admin@*') =>
    send('POST', `/v1/signers/${signerId}/revoke`, as, { reason: 'lost' });
  t.equal((await revoke('kernel-1', 'operator@*')).statusCode, 403);
  t.equal((await revoke('nobody')).statusCode, 404);
  const revoked = await revoke('kernel-1');
  t.equal(revoked.statusCode, 200);
  t.match(revoked.json(), { signerId: 'kernel-1', state: 'revoked', revokedAt: String });
  t.equal((await revoke('kernel-1')).statusCode, 409);
  t.match(await world.events(['signer.revoked'], '_system'), [
    { payload: { signerId: 'kernel-1', purpose: 'manifest', registryVersion: 4 } },
  ]);
});

t.test('revoking the proof signer ends what it vouched for', async (t) => {
  const world = await governance(t);
  const agentId = await governedAgent(world);
  const before = await world.storage.read('_system', findRevocations);
  await world.registry.revoke('proof-1', 'lost', ADMIN);
  const after = await world.storage.read('_system', findRevocations);
  t.same(after.revoked, ['proof-1']);
  t.ok(after.revision > before.revision);
  await t.rejects(world.start(WORKSPACE, agentId, {}, OPERATOR), {
    code: 'ADMISSION_DENIED',
    denies: [{ code: 'SIGNER_REVOKED' }],
  });
  await t.rejects(world.signers.trial(), { code: 'SIGNER_UNAVAILABLE' });
});

t.test(
  'revoking the audit signer works though it can sign nothing any more, and stops what needs consent',
  async (t) => {
    const world = await governance(t);
    const agentId = await world.sandboxAgent();
    const keyAt = (signerId: string, at: number) =>
      world.storage.read('_system', (trx) => world.signers.findAuditKey(trx, signerId, at));
    const before = Date.now();
    t.ok(await keyAt('audit-1', before));
    await world.registry.revoke('audit-1', 'lost', ADMIN);
    t.match((await world.events(['signer.revoked'], '_system')).at(-1), { sign_mode: 'deferred' });
    await t.rejects(world.start(WORKSPACE, agentId, {}, OPERATOR), { code: 'SIGNER_UNAVAILABLE' });
    await world.signers.ensureRegistered(world.audit);
    t.equal(await keyAt('audit-1', Date.now() + 60_000), undefined, 'what it would sign from now on does not count');
    t.ok(await keyAt('audit-1', before - 60_000), 'what it signed before goes on counting');
    t.equal(await keyAt('proof-1', before - 60_000), undefined, 'a key has one purpose');
    const trustedUpTo = new Date(before - 120_000).toISOString();
    await world.registry.compromise('audit-1', { reason: 'sold', trustedUpTo }, ADMIN);
    t.equal(await keyAt('audit-1', before - 60_000), undefined, 'what it signed when its key was in other hands');
    t.ok(await keyAt('audit-1', before - 180_000), 'what it signed before');
    await world.database.query("UPDATE signers SET trusted_up_to = NULL WHERE signer_id = 'audit-1'");
    t.equal(await keyAt('audit-1', before - 180_000), undefined, 'and nothing where nobody says until when');
  },
);
