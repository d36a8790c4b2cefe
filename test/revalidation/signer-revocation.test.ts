import t from 'tap';

import { readHead } from '../../src/policy/head.ts';
import { createRevalidationService } from '../../src/revalidation/service.ts';
import { revalidateDistrusted } from '../../src/revalidation/signer-revocation.ts';
import { generateEd25519 } from '../../src/signers/drivers/local/ed25519.ts';
import { createSignerRegistry } from '../../src/signers/service.ts';
import { type World, world } from './fixture.ts';
import { forgeUnsigned } from './forged-row.ts';

const CALLER = { id: 'ada', kind: 'human' } as const;

function parts(w: World) {
  const { storage, audit } = w;
  const revalidation = createRevalidationService(w.options());
  const round = (signal = AbortSignal.timeout(20_000)) =>
    revalidateDistrusted({ storage, audit, revalidation, head: readHead }, signal);
  return { revalidation, round, registry: createSignerRegistry({ storage, audit }) };
}

async function agentsOf(w: World) {
  const { rows } = await w.database.query(
    `SELECT status, desired_replicas, invalidation #>> '{denies,0,code}' AS code, invalidation ->> 'at' AS at
     FROM agents ORDER BY id`,
  );
  return rows;
}

t.test('what a revoked signer vouched for is stopped, once', async (t) => {
  const w = await world(t);
  await w.agents(3);
  const { round, registry } = parts(w);
  await round();
  t.equal((await w.events('revalidation.requested')).length, 0, 'not while it is trusted');

  await registry.revoke('proof-1', 'lost', CALLER);
  await round();
  const stopped = await agentsOf(w);
  t.same(
    stopped.map(({ status, desired_replicas: desired, code }) => [status, desired, code]),
    Array.from({ length: 3 }, () => ['quarantined', 0, 'SIGNER_REVOKED']),
  );
  t.match((await w.events('revalidation.requested')).at(-1)?.payload, { cause: 'revocation', agents: 3 });
  t.match(await w.events('agent.invalidated'), [{ payload: { wasRunning: true } }, {}, {}]);

  await round();
  t.same(await agentsOf(w), stopped);
  t.equal((await w.events('revalidation.requested')).length, 1, 'they are not looked at again');
});

t.test('a signer that no agent rests on starts nothing', async (t) => {
  const w = await world(t);
  await w.agents(1);
  const { round, registry } = parts(w);
  const key = { signerId: 'kernel-1', alg: 'Ed25519', publicKey: generateEd25519().publicKeyPem } as const;
  await registry.register({ ...key, purpose: 'manifest' }, CALLER);
  await registry.compromise('kernel-1', { reason: 'sold' }, CALLER);
  await round();
  t.equal((await w.events('revalidation.requested')).length, 0);
});

t.test('cut off, it goes on where it was', async (t) => {
  const w = await world(t);
  await w.agents(2);
  const { round, registry, revalidation } = parts(w);
  await registry.compromise('proof-1', { reason: 'sold' }, CALLER);
  const dies = { ...revalidation, follow: () => Promise.reject(new Error('the process died')) };
  const { storage, audit } = w;
  const cut = revalidateDistrusted({ storage, audit, revalidation: dies, head: readHead }, AbortSignal.timeout(20_000));
  await t.rejects(cut);
  t.same(
    await agentsOf(w),
    [{ code: null }, { code: null }].map((one) => ({ ...one, at: null, status: 'running', desired_replicas: 1 })),
  );
  await round();
  t.equal((await w.events('revalidation.requested')).length, 1, 'one that runs is not begun anew');

  await w.database.query('UPDATE revalidations SET lease_until = NULL');
  await revalidation.resume(AbortSignal.timeout(20_000));
  await revalidation.settled();
  t.same(
    (await agentsOf(w)).map(({ code }) => code),
    ['SIGNER_REVOKED', 'SIGNER_REVOKED'],
  );
});

t.test('nothing can be signed: they are stopped all the same', async (t) => {
  const w = await world(t);
  await w.agents(2);
  const { round, registry } = parts(w);
  w.trouble.auditSigner = true;
  await registry.revoke('proof-1', 'lost', CALLER);
  await round();
  t.same(
    (await agentsOf(w)).map(({ status, code }) => [status, code]),
    Array.from({ length: 2 }, () => ['quarantined', 'SIGNER_REVOKED']),
  );
  t.match(await w.events('agent.invalidated'), [{ sign_mode: 'deferred' }, { sign_mode: 'deferred' }]);
  t.equal((await w.events('revalidation.requested')).length, 0, 'which is an event that has to be signed');
});

t.test('the chain has an unsigned event that must not be signed over: they are stopped all the same', async (t) => {
  const w = await world(t);
  await w.agents(2);
  const { round, registry } = parts(w);
  await forgeUnsigned(w);
  await registry.revoke('proof-1', 'lost', CALLER);
  await round();
  t.same(
    (await agentsOf(w)).map(({ status, code }) => [status, code]),
    Array.from({ length: 2 }, () => ['quarantined', 'SIGNER_REVOKED']),
  );
  t.match(await w.events('agent.invalidated'), [{ sign_mode: 'deferred' }, { sign_mode: 'deferred' }]);
  t.equal((await w.events('audit.deferred.covered')).length, 0, 'and it is not signed over');
});
