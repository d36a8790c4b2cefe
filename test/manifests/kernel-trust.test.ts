import { join } from 'node:path';
import pg from 'pg';
import t from 'tap';

import { testCertificates } from '../support/service.ts';
import { openWorld } from '../system/support/world.ts';
import { TOKEN, testKernel } from './kernel.ts';
import { envelopeFor, MINUTE, newKey, refused, registration, SPEC, stored } from './support.ts';

const AGENTS = '/v1/workspaces/demo/agents';
const UNTRUSTED = { status: 403, code: 'MANIFEST_UNTRUSTED_SIGNER' };

const certsDir = await testCertificates(t);
const kernel = await testKernel(t, certsDir);
const world = await openWorld(t, {
  manifests: {
    audience: 'castellan',
    kernel: {
      url: kernel.url,
      caFile: join(certsDir, 'ca.crt'),
      certFile: join(certsDir, 'orchestrator.crt'),
      keyFile: join(certsDir, 'orchestrator.key'),
      token: TOKEN,
      cacheMs: 60_000,
    },
  },
});

type Signer = ReturnType<typeof newKey>;
const create = (signer: Signer) => () =>
  world.call('operator', 'POST', AGENTS, { spec: SPEC, manifest: envelopeFor(world, signer, SPEC) });

function listed(changed: object = {}): Signer {
  const signer = newKey();
  kernel.entries.set(signer.signerId, { ...registration(signer), state: 'active', ...changed });
  return signer;
}

t.test('a signer that the Kernel names may sign as one of the registry', async (t) => {
  const signer = listed();
  t.equal((await create(signer)()).status, 201);
  t.equal((await create(signer)()).status, 201);
  t.equal(kernel.asked.length, 1);
  t.equal((await create(listed({ state: 'retiring' }))()).status, 201);
});

t.test('one that the Kernel does not vouch for', async (t) => {
  const before = { notBefore: new Date(world.now() + MINUTE).toISOString() };
  const after = { notAfter: new Date(world.now() - MINUTE).toISOString() };
  for (const changed of [{ state: 'revoked' }, { state: 'pending' }, { state: 'ACTIVE' }, before, after]) {
    await t.test(JSON.stringify(changed), (t) => refused(t, world, UNTRUSTED, create(listed(changed))));
  }
  for (const purpose of ['audit', 'proof', 'Manifest']) {
    await refused(t, world, { status: 403, code: 'MANIFEST_WRONG_PURPOSE' }, create(listed({ purpose })));
  }
  const { publicKey } = newKey();
  await refused(t, world, { status: 403, code: 'MANIFEST_SIGNATURE_INVALID' }, create(listed({ publicKey })));
  await refused(t, world, UNTRUSTED, create(listed({ alg: 'HMAC-SHA256', publicKey: null })));
  await refused(t, world, UNTRUSTED, create(newKey()));
});

t.test('whom the registry knows is never asked for, and what it says counts', async (t) => {
  for (const step of ['revoke', 'compromise']) {
    const signer = listed();
    await world.expect(201, 'kernel-admin', 'POST', '/v1/signers', registration(signer));
    await world.expect(200, 'kernel-admin', 'POST', `/v1/signers/${signer.signerId}/${step}`, { reason: 'a test' });
    kernel.asked.length = 0;
    await refused(t, world, UNTRUSTED, create(signer));
    t.same(kernel.asked, []);
  }
  // Also one that was found at the Kernel first.
  const signer = listed();
  t.equal((await create(signer)()).status, 201);
  await world.expect(201, 'kernel-admin', 'POST', '/v1/signers', registration(signer));
  await world.expect(200, 'kernel-admin', 'POST', `/v1/signers/${signer.signerId}/revoke`, { reason: 'a test' });
  await refused(t, world, UNTRUSTED, create(signer));
});

t.test('a signer that is revoked while a request waits for the Kernel', async (t) => {
  const signer = listed();
  const { promise, resolve } = Promise.withResolvers<void>();
  kernel.gate = promise;
  const question = kernel.nextQuestion();
  const asked = create(signer)();
  await question;
  await world.expect(201, 'kernel-admin', 'POST', '/v1/signers', registration(signer));
  await world.expect(200, 'kernel-admin', 'POST', `/v1/signers/${signer.signerId}/revoke`, { reason: 'a test' });
  resolve();
  kernel.gate = undefined;
  t.match(await asked, { status: 403, body: { code: UNTRUSTED.code } });
});

t.test('a signer of the Kernel whose time is over when its request comes to its turn', async (t) => {
  const signer = listed({ notAfter: new Date(world.now() + MINUTE).toISOString() });
  const client = new pg.Client({ connectionString: world.database.superuserUrl });
  await client.connect();
  t.teardown(() => client.end());
  const late = async () => {
    await client.query('BEGIN');
    await client.query(`SELECT FROM audit_heads WHERE chain = 'demo' FOR UPDATE`);
    const asked = create(signer)();
    const waiting = `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%audit_open%'`;
    const deadline = Date.now() + 10_000;
    while ((await world.database.query(waiting)).rowCount === 0 && Date.now() < deadline);
    world.pass(MINUTE);
    await client.query('COMMIT');
    return asked;
  };
  await refused(t, world, UNTRUSTED, late);
});

t.test('without the Kernel nothing is accepted that rests on it', async (t) => {
  const signer = listed();
  const before = await stored(world);
  kernel.fault = 'error';
  const { result, events } = await world.eventsOf(create(signer));
  t.match(result, { status: 503, headers: { 'retry-after': /^[1-3]$/ }, body: { code: 'KERNEL_UNAVAILABLE' } });
  t.same(events, [], 'nothing was decided');
  t.same(await stored(world), before);
  kernel.entries.set(signer.signerId, { ...registration(newKey()), state: 'active' });
  kernel.fault = undefined;
  t.equal((await create(signer)()).body.code, 'KERNEL_UNAVAILABLE', 'an answer about another signer');
  kernel.entries.set(signer.signerId, { ...registration(signer), state: 'active' });
  t.equal((await create(signer)()).status, 201, 'it recovers alone');
});
