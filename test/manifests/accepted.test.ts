import t from 'tap';

import { testService } from '../support/service.ts';
import { DAY, openWorld } from '../system/support/world.ts';
import {
  type Alg,
  digest,
  envelopeFor,
  type ManifestKey,
  MINUTE,
  manifestFor,
  newKey,
  refused,
  registration,
  SPEC,
  seal,
  stored,
  trustedKey,
} from './support.ts';

const AGENTS = '/v1/workspaces/demo/agents';
const REPLAYED = { status: 403, code: 'MANIFEST_REPLAYED' };
const REQUIRED = { status: 403, code: 'MANIFEST_REQUIRED' };
const UNTRUSTED = { status: 403, code: 'MANIFEST_UNTRUSTED_SIGNER' };
const EXPIRED = { status: 403, code: 'MANIFEST_EXPIRED' };
const OTHER_SPEC = { status: 403, code: 'MANIFEST_HASH_MISMATCH' };

const world = await openWorld(t);
const key = await trustedKey(world);

type Body = Readonly<Record<string, unknown>>;
const create = (body: Body, who = 'operator') => world.call(who, 'POST', AGENTS, body);

t.test('an agent is created with its manifest, which is in the audit with it', async (t) => {
  const manifest = envelopeFor(world, key, SPEC);
  const before = await stored(world);
  const { result, events } = await world.eventsOf(() => create({ spec: SPEC, manifest }));
  t.equal(result.status, 201, result.text);
  t.equal(result.body.specHash, digest(SPEC));
  t.match(events, [
    {
      chain: 'demo',
      type: 'manifest.accepted',
      actor: 'operator',
      payload: {
        manifestId: manifest.manifest.manifestId,
        manifestHash: manifest.manifestHash,
        signerId: key.signerId,
        agentConfigHash: digest(SPEC),
        agentId: result.body.id,
        expiresAt: manifest.manifest.expiresAt,
      },
    },
    { type: 'agent.created', payload: { agentId: result.body.id } },
  ]);
  t.same(await stored(world), { agents: before.agents + 1, manifests: before.manifests + 1 });
  await refused(t, world, REPLAYED, () => create({ spec: SPEC, manifest }));
});

t.test('fifty at once with one manifest make one agent', async (t) => {
  const manifest = envelopeFor(world, key, SPEC);
  const before = await stored(world);
  const { result: answers, events } = await world.eventsOf(() =>
    Promise.all(Array.from({ length: 50 }, () => create({ spec: SPEC, manifest }))),
  );
  t.equal(answers.filter(({ status }) => status === 201).length, 1);
  t.equal(answers.filter(({ body }) => body.code === 'MANIFEST_REPLAYED').length, 49);
  t.same(await stored(world), { agents: before.agents + 1, manifests: before.manifests + 1 });
  t.equal(events.filter(({ type }) => type === 'manifest.accepted').length, 1);
  t.equal(events.filter(({ type }) => type === 'manifest.rejected').length, 49);
});

t.test('on two replicas and in two workspaces it is the same manifest', async (t) => {
  const replica = await testService(t, { replicaOf: world, clock: world.now });
  const elsewhere = await world.workspace();
  const manifest = envelopeFor(world, key, SPEC);
  const body = { spec: SPEC, manifest };
  const answers = await Promise.all(
    Array.from({ length: 10 }, () => [
      replica.call('operator', 'POST', AGENTS, body),
      world.call('kernel-admin', 'POST', `/v1/workspaces/${elsewhere}/agents`, body),
      create(body),
    ]).flat(),
  );
  t.same(
    answers
      .map(({ status }) => status)
      .sort()
      .slice(0, 2),
    [201, 403],
    'one of them all',
  );
});

t.test('a request that is repeated under its Idempotency-Key is answered again and spends nothing', async (t) => {
  const body = { spec: SPEC, manifest: envelopeFor(world, key, SPEC) };
  const headers = { 'idempotency-key': 'spawn-1' };
  const first = await world.call('operator', 'POST', AGENTS, body, headers);
  const { result: again, events } = await world.eventsOf(() => world.call('operator', 'POST', AGENTS, body, headers));
  t.equal(first.status, 201, first.text);
  t.match(again, { status: 201, headers: { 'idempotent-replayed': 'true' }, body: first.body });
  t.same(events, []);
});

t.test('a manifest that was spent is never accepted again, however long that is ago', async (t) => {
  const far = { expiresAt: new Date(world.now() + 200 * DAY).toISOString() };
  const manifest = envelopeFor(world, key, SPEC, far);
  t.equal((await create({ spec: SPEC, manifest })).status, 201);
  for (const days of [2, 190]) {
    world.pass(days * DAY);
    await refused(t, world, REPLAYED, () => create({ spec: SPEC, manifest }));
  }
  world.pass(100 * DAY);
  await refused(t, world, EXPIRED, () => create({ spec: SPEC, manifest }));
  world.pass(-100 * DAY);
  await refused(t, world, REPLAYED, () => create({ spec: SPEC, manifest }));
  world.pass(-192 * DAY);
});

t.test('what did not happen has not spent its manifest', async (t) => {
  const { body: agent } = await create({ spec: { name: 'still' } });
  const path = `${AGENTS}/${agent.id}`;
  await world.expect(200, 'operator', 'POST', `${path}/start`);
  const spec = { name: 'still', profile: 'illuvrse' };
  const manifest = envelopeFor(world, key, spec);
  const patch = { spec: { profile: 'illuvrse' }, manifest };
  t.match(await world.call('operator', 'PATCH', path, patch), { status: 409, body: { code: 'AGENT_RUNNING' } });
  await world.expect(200, 'operator', 'POST', `${path}/stop`);
  t.equal((await world.call('operator', 'PATCH', path, patch)).status, 200);
});

t.test('a patch needs one from and to the profile, for the spec that results', async (t) => {
  const { body: agent } = await create({ spec: { name: 'a' } });
  const path = `${AGENTS}/${agent.id}`;
  const patch = (body: Body) => world.call('operator', 'PATCH', path, body);
  const into = { spec: { profile: 'illuvrse' } };
  const spec = { name: 'a', profile: 'illuvrse' };
  await refused(t, world, REQUIRED, () => patch(into));
  await refused(t, world, OTHER_SPEC, () => patch({ ...into, manifest: envelopeFor(world, key, into.spec) }));
  const manifest = envelopeFor(world, key, spec);
  const { result, events } = await world.eventsOf(() => patch({ ...into, manifest }));
  t.match(result, { status: 200, body: { spec, specVersion: 2 } });
  t.match(events, [{ type: 'manifest.accepted', payload: { agentId: agent.id } }, { type: 'agent.updated' }]);

  await refused(t, world, REPLAYED, () => patch({ ...into, manifest }));
  await refused(t, world, REQUIRED, () => patch({ spec: { description: 'more' } }));
  await refused(t, world, REQUIRED, () => patch({ spec: { profile: null } }));
  await refused(t, world, REQUIRED, () => patch({ spec: { profile: 'personal' } }));
  const left = await patch({ spec: { profile: null }, manifest: envelopeFor(world, key, { name: 'a' }) });
  t.match(left, { status: 200, body: { spec: { name: 'a' }, specVersion: 3 } });
  t.equal((await patch({ spec: { description: 'free' } })).status, 200);
});

t.test('a fork needs one of its own', async (t) => {
  const { body: agent } = await create({ spec: SPEC, manifest: envelopeFor(world, key, SPEC) });
  const fork = (body?: Body) => world.call('operator', 'POST', `${AGENTS}/${agent.id}/fork`, body);
  await refused(t, world, REQUIRED, () => fork());
  const renamed = { ...SPEC, name: 'fork' };
  await refused(t, world, OTHER_SPEC, () => fork({ name: 'fork', manifest: envelopeFor(world, key, SPEC) }));
  const { result, events } = await world.eventsOf(() =>
    fork({ name: 'fork', manifest: envelopeFor(world, key, renamed) }),
  );
  t.match(result, { status: 201, body: { spec: renamed, forkedFrom: { agentId: agent.id } } });
  t.match(events, [{ type: 'manifest.accepted', payload: { agentId: result.body.id } }, { type: 'agent.forked' }]);
  t.equal((await fork({ manifest: envelopeFor(world, key, SPEC) })).status, 201);
});

t.test('each algorithm of the registry but the shared secret', async (t) => {
  for (const alg of ['Ed25519', 'ECDSA-P256-SHA256', 'RSA-PSS-SHA256'] as const satisfies readonly Alg[]) {
    const other = await trustedKey(world, alg);
    const answer = await create({ spec: SPEC, manifest: envelopeFor(world, other, SPEC) });
    t.equal(answer.status, 201, `${alg}: ${answer.text}`);
    const manifest = manifestFor(world, SPEC);
    const wrong = seal({ ...newKey(alg), signerId: other.signerId }, manifest);
    await refused(t, world, { status: 403, code: 'MANIFEST_SIGNATURE_INVALID' }, () =>
      create({ spec: SPEC, manifest: wrong }),
    );
  }
  const secret = { signerId: 'shared', alg: 'HMAC-SHA256', publicKey: 'c2VjcmV0', purpose: 'manifest' };
  t.match(await world.call('kernel-admin', 'POST', '/v1/signers', secret), {
    status: 422,
    body: { code: 'SIGNER_INVALID' },
  });
  // Not even where somebody wrote it into the table.
  await world.sql(`INSERT INTO signers (signer_id, alg, purpose, state, created_at, created_by, updated_at)
    VALUES ('shared', 'HMAC-SHA256', 'manifest', 'active', now(), 'test', now())`);
  const manifest = { ...envelopeFor(world, key, SPEC), manifestSignatureId: 'shared' };
  await refused(t, world, UNTRUSTED, () => create({ spec: SPEC, manifest }));
});

t.test('both signers count during a rotation, and each only while it is in force', async (t) => {
  const old = await trustedKey(world);
  const next = newKey();
  const by = (signer: ManifestKey) => create({ spec: SPEC, manifest: envelopeFor(world, signer, SPEC) });
  const step = (signerId: string, action: string, body?: object) =>
    world.call('kernel-admin', 'POST', `/v1/signers/${signerId}/${action}`, body);
  const { signerId, alg, publicKey } = next;

  t.equal(
    (await step(old.signerId, 'rotate', { replacement: { signerId, alg, publicKey }, reason: 'test' })).status,
    201,
  );
  await refused(t, world, UNTRUSTED, () => by(next));
  t.equal((await by(old)).status, 201);
  t.match(await step(signerId, 'activate'), { status: 200, body: { state: 'active' } });
  t.same([(await by(old)).status, (await by(next)).status], [201, 201]);
  t.match(await step(old.signerId, 'retire'), { status: 200, body: { state: 'retired' } });
  await refused(t, world, UNTRUSTED, () => by(old));
  t.equal((await by(next)).status, 201);
});

t.test('a signer out of force', async (t) => {
  const path = (signerId: string, step: string) => `/v1/signers/${signerId}/${step}`;
  for (const step of ['retire', 'revoke', 'compromise']) {
    const other = await trustedKey(world);
    const manifest = envelopeFor(world, other, SPEC);
    const body = step === 'retire' ? undefined : { reason: 'a test' };
    const { status, text } = await world.call('kernel-admin', 'POST', path(other.signerId, step), body);
    t.equal(status, 200, text);
    await refused(t, world, UNTRUSTED, () => create({ spec: SPEC, manifest }));
  }
  const windows = [
    { why: 'before its time', notBefore: new Date(world.now() + DAY).toISOString() },
    { why: 'after its time', notAfter: new Date(world.now() + MINUTE).toISOString(), wait: 2 * MINUTE },
  ];
  for (const { why, wait = 0, ...window } of windows) {
    const other = newKey();
    await world.expect(201, 'kernel-admin', 'POST', '/v1/signers', { ...registration(other), ...window });
    const manifest = envelopeFor(world, other, SPEC);
    world.pass(wait);
    await t.test(why, (t) => refused(t, world, UNTRUSTED, () => create({ spec: SPEC, manifest })));
  }
});

t.test("the Kernel's clock may be a little ahead", async (t) => {
  const ahead = (seconds: number) => {
    const issuedAt = new Date(world.now() + seconds * 1000).toISOString();
    return create({ spec: SPEC, manifest: envelopeFor(world, key, SPEC, { issuedAt }) });
  };
  t.equal((await ahead(20)).status, 201);
  await refused(t, world, EXPIRED, () => ahead(60));
});
