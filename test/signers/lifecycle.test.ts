import t from 'tap';

import { canonicalBytes } from '../../src/crypto/canonical-json.ts';
import { sha256Digest } from '../../src/crypto/digest.ts';
import { verificationKey } from '../../src/crypto/verify.ts';
import { createLocalSigner, generateEd25519 } from '../../src/signers/drivers/local/ed25519.ts';
import { createSigners } from '../../src/signers/signers.ts';
import type { KeyedSigner } from '../../src/signers/verified-signer.ts';
import { ADMIN, appender, type Governance, governance, WORKSPACE } from '../admission/fixture.ts';

const MEMBERS = [
  'signerId',
  'alg',
  'publicKey',
  'purpose',
  'state',
  'notBefore',
  'notAfter',
  'revokedAt',
  'trustedUpTo',
  'validFromSize',
  'validToSize',
  'replaces',
] as const;

function newKey(signerId: string): { driver: KeyedSigner; publicKey: string } {
  const { privateKeyPem, publicKeyPem } = generateEd25519();
  const signer = createLocalSigner({ signerId, privateKeyPem });
  return { driver: { signer, key: verificationKey('Ed25519', publicKeyPem) }, publicKey: publicKeyPem };
}

const manifest = (signerId: string) =>
  ({ signerId, alg: 'Ed25519', publicKey: newKey(signerId).publicKey, purpose: 'manifest' }) as const;

async function statesOf(world: Governance) {
  return (await world.registry.list()).map(({ signerId, state }) => `${signerId} ${state}`);
}

t.test('every change is numbered, and its event names the registry as it is then', async (t) => {
  const world = await governance(t);
  const { registry } = world;
  const digestNow = async () => {
    const entries = (await registry.list()).map((entry) =>
      Object.fromEntries(MEMBERS.map((name) => [name, entry[name]])),
    );
    return sha256Digest(canonicalBytes(entries));
  };
  const steps: (() => Promise<unknown>)[] = [
    () => registry.register(manifest('k1'), ADMIN),
    () => registry.rotate({ ...manifest('k2'), replaces: 'k1' }, ADMIN),
    () => registry.activate('k2', ADMIN),
    () => registry.retire('k1', ADMIN),
    () => registry.compromise('k1', { reason: 'sold' }, ADMIN),
    () => registry.revoke('k2', 'lost', ADMIN),
    () => registry.importAll([manifest('k3')], ADMIN),
  ];
  // The two of the first boot came before.
  for (const [n, step] of steps.entries()) {
    await step();
    const { payload } = (await world.events([], '_system')).at(-1) ?? {};
    t.equal(payload.registryVersion, n + 3);
    t.equal(payload.registryDigest, await digestNow(), payload.signerId);
  }
  t.same(
    (await world.events([], '_system')).map(({ event_type: type }) => type),
    [
      'signer.registered',
      'signer.registered',
      'signer.registered',
      'signer.rotation.requested',
      'signer.rotation.applied',
      'signer.retired',
      'signer.compromise',
      'signer.revoked',
      'signer.registered',
    ],
  );
});

t.test(
  'a rotation of the audit key: pending, in force once a replica signs with it, and the old one on its way out',
  async (t) => {
    const world = await governance(t);
    const { registry, storage, proofDriver } = world;
    const next = newKey('audit-2');
    const request = { signerId: 'audit-2', alg: 'Ed25519', publicKey: next.publicKey, purpose: 'audit' } as const;
    await t.rejects(registry.rotate({ ...request, replaces: 'nobody' }, ADMIN), { code: 'NOT_FOUND' });
    await t.rejects(registry.rotate({ ...request, replaces: 'proof-1' }, ADMIN), { code: 'SIGNER_STATE_CONFLICT' });
    await registry.rotate({ ...request, replaces: 'audit-1' }, ADMIN);
    await t.rejects(registry.activate('audit-2', ADMIN), { code: 'SIGNER_STATE_CONFLICT' });
    await t.rejects(registry.retire('audit-1', ADMIN), { code: 'SIGNER_STATE_CONFLICT' }, 'the only one in force');

    const replica = createSigners({ storage, clock: Date.now, auditDriver: next.driver, proofDriver });
    await t.rejects(replica.trial(), { code: 'SIGNER_UNAVAILABLE' }, 'pending signs nothing');
    const audit = appender(t, storage, replica.audit, Date.now);
    await Promise.all([replica.ensureRegistered(audit), replica.ensureRegistered(audit)]);
    t.same(await statesOf(world), ['audit-1 retiring', 'audit-2 active', 'proof-1 active']);
    t.equal((await world.events(['signer.rotation.applied'], '_system')).length, 1);
    await Promise.all([replica.trial(), world.signers.trial()]);
    t.match(await registry.retire('audit-1', ADMIN).catch((error: unknown) => error), { code: 'SIGNER_UNAVAILABLE' });
  },
);

t.test('a replica whose key is not expected does not start', async (t) => {
  const world = await governance(t);
  const { registry, storage, auditDriver } = world;
  const [expected, other] = [newKey('proof-2'), newKey('proof-3')];
  const request = { signerId: 'proof-2', alg: 'Ed25519', publicKey: expected.publicKey, purpose: 'proof' } as const;
  await registry.rotate({ ...request, replaces: 'proof-1' }, ADMIN);
  await registry.revoke('proof-1', 'lost', ADMIN);
  const boot = (proofDriver: KeyedSigner) =>
    createSigners({ storage, clock: Date.now, auditDriver, proofDriver }).ensureRegistered(world.audit);
  await t.rejects(boot(other.driver), { code: 'SIGNER_MISMATCH', message: /request a rotation first/ });
  await boot(expected.driver);
  t.same(
    await statesOf(world),
    ['audit-1 active', 'proof-1 revoked', 'proof-2 active'],
    'what it replaces stays revoked',
  );
  await registry.revoke('proof-2', 'lost', ADMIN);
  await boot(other.driver);
  t.equal((await statesOf(world)).at(-1), 'proof-3 active', 'the first where none is left');
});

t.test('in an emergency a key is announced though nothing can be signed', async (t) => {
  const world = await governance(t);
  const { registry, storage, proofDriver } = world;
  const next = newKey('audit-2');
  const request = {
    signerId: 'audit-2',
    alg: 'Ed25519',
    publicKey: next.publicKey,
    purpose: 'audit',
    replaces: 'audit-1',
  } as const;
  world.switches.auditDown = true;
  await t.rejects(registry.rotate(request, ADMIN), { code: 'SIGNER_UNAVAILABLE' });
  await registry.rotate({ ...request, emergency: true }, ADMIN);
  await registry.compromise('audit-1', { reason: 'sold' }, ADMIN);
  const replica = createSigners({ storage, clock: Date.now, auditDriver: next.driver, proofDriver });
  await replica.ensureRegistered(appender(t, storage, replica.audit, Date.now));
  t.same(
    (await world.events([], '_system')).slice(2).map(({ event_type: type, sign_mode: mode }) => `${type} ${mode}`),
    [
      'signer.rotation.requested deferred',
      'signer.compromise deferred',
      'audit.deferred.covered event',
      'signer.rotation.applied event',
    ],
  );
});

t.test('a compromise says until when, and never a time to come', async (t) => {
  const world = await governance(t);
  const { registry } = world;
  for (const name of ['k1', 'k2', 'k3']) await registry.register(manifest(name), ADMIN);
  const future = new Date(Date.now() + 3_600_000).toISOString();
  await t.rejects(registry.compromise('k1', { reason: 'sold', trustedUpTo: future }, ADMIN), {
    code: 'SIGNER_INVALID',
  });
  await t.rejects(registry.compromise('nobody', { reason: 'sold' }, ADMIN), { code: 'NOT_FOUND' });

  await world.database.query(`INSERT INTO audit_checkpoint_entries (index, chain, size, root, entry, created_at)
    SELECT n, 'demo', n + 1, decode(repeat('00', 32), 'hex'), '', '2026-01-01T00:00:00Z'::timestamptz + n * interval '1 hour'
    FROM generate_series(0, 9) n`);
  const early = await registry.compromise('k1', { reason: 'sold', trustedUpTo: '2026-01-01T04:30:00+01:00' }, ADMIN);
  t.match(early, { state: 'compromised', trustedUpTo: '2026-01-01T03:30:00.000Z', validToSize: 4 });
  t.equal(
    (await registry.compromise('k2', { reason: 'sold', trustedUpTo: '2020-01-01T00:00:00Z' }, ADMIN)).validToSize,
    0,
  );
  await t.rejects(registry.revoke('k1', 'lost', ADMIN), { code: 'SIGNER_STATE_CONFLICT' }, 'it is final');

  const { revokedAt } = await registry.revoke('k3', 'lost', ADMIN);
  await world.database.query("UPDATE signers SET valid_to_size = 7 WHERE signer_id = 'k3'");
  t.match(
    await registry.compromise('k3', { reason: 'sold' }, ADMIN),
    { revokedAt, validToSize: 7 },
    'never more trust',
  );
  t.match(await registry.register(manifest('k4'), ADMIN), { validFromSize: 10 }, 'not the first of its purpose');

  world.switches.auditDown = true;
  const audit = { reason: 'sold', trustedUpTo: '2026-01-01T04:30:00Z' };
  t.equal((await registry.compromise('audit-1', audit, ADMIN)).validToSize, 5);
  const then = Date.parse('2026-01-01T00:00:00Z');
  const keyAt = (seq: number) =>
    world.storage.read(WORKSPACE, (trx) => world.signers.findAuditKey(trx, 'audit-1', then, { chain: WORKSPACE, seq }));
  t.ok(await keyAt(5), 'it was in the log by then');
  t.equal(await keyAt(6), undefined, 'any time can be written into an event, and this one came into the log later');
});

t.test('a pending signer that loses its trust never had any', async (t) => {
  const world = await governance(t);
  const { registry } = world;
  await registry.register(manifest('k1'), ADMIN);
  for (const name of ['k2', 'k3']) await registry.rotate({ ...manifest(name), replaces: 'k1' }, ADMIN);
  const revoked = await registry.revoke('k2', 'lost', ADMIN);
  t.match(revoked, { validToSize: 0, notBefore: revoked.revokedAt });
  const compromised = await registry.compromise('k3', { reason: 'sold' }, ADMIN);
  t.match(compromised, { validToSize: 0, notBefore: compromised.trustedUpTo });
});

t.test('a key that was trusted beside another takes its place when that is asked for', async (t) => {
  const world = await governance(t);
  const { registry } = world;
  await t.rejects(
    registry.handOver('audit-1', 'yearly', ADMIN),
    { code: 'SIGNER_STATE_CONFLICT' },
    'there is no other',
  );
  await t.rejects(registry.handOver('nobody', 'yearly', ADMIN), { code: 'NOT_FOUND' });
  const { publicKey } = newKey('audit-2');
  const added = await registry.register({ signerId: 'audit-2', alg: 'Ed25519', publicKey, purpose: 'audit' }, ADMIN);
  t.equal(added.state, 'active');
  t.match(await registry.handOver('audit-1', 'yearly', ADMIN), { signerId: 'audit-1', state: 'retiring' });
  t.match((await world.events(['signer.rotation.applied'], '_system')).at(-1), {
    payload: { signerId: 'audit-2', purpose: 'audit', replaces: 'audit-1', reason: { c: /^[0-9a-f]{64}$/ } },
  });
  await t.rejects(registry.handOver('audit-1', 'again', ADMIN), { code: 'SIGNER_STATE_CONFLICT' });
});

t.test('an import takes all of a file or nothing', async (t) => {
  const world = await governance(t);
  const { registry } = world;
  const [known, first, second] = [manifest('k1'), manifest('k2'), manifest('k3')];
  await registry.register({ ...known, notAfter: '2030-01-01T00:00:00Z' }, ADMIN);
  const before = (await world.events([], '_system')).length;
  const refusals = [
    { why: 'another key', entry: { ...manifest('k1') }, code: 'ALREADY_EXISTS' },
    { why: 'another end', entry: { ...known, notAfter: '2031-01-01T00:00:00Z' }, code: 'ALREADY_EXISTS' },
    { why: 'another state', entry: { ...known, state: 'retired' as const }, code: 'ALREADY_EXISTS' },
    { why: 'not in force there', entry: { ...second, state: 'revoked' as const }, code: 'SIGNER_INVALID' },
    { why: 'no key', entry: { ...second, publicKey: 'x' }, code: 'SIGNER_INVALID' },
    { why: 'a second audit signer', entry: { ...second, purpose: 'audit' as const }, code: 'SIGNER_STATE_CONFLICT' },
    { why: 'the key of another', entry: { ...second, publicKey: known.publicKey }, code: 'ALREADY_EXISTS' },
  ];
  for (const { why, entry, code } of refusals) {
    await t.rejects(registry.importAll([first, entry], ADMIN), { code }, why);
  }
  t.equal((await world.events([], '_system')).length, before, 'nothing of that was stored');
  const listed = (await registry.list()).find(({ signerId }) => signerId === 'k1');
  const publicKey = listed?.publicKey ?? '';
  t.same(await registry.importAll([{ ...known, ...listed, publicKey }, first], ADMIN), {
    imported: ['k2'],
    skipped: ['k1'],
  });
});
