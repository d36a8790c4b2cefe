import t from 'tap';

import { PolicyInvalid } from '../../src/policy/errors.ts';
import { readHead } from '../../src/policy/head.ts';
import { COMMITMENT } from '../support/personal.ts';
import { CALLER, modules, type Replica, reload, WORKSPACE, type World, world } from './fixture.ts';

const nothing = () => undefined;

function headOf(replica: Replica) {
  return replica.storage.read(WORKSPACE, (trx) => readHead(trx, WORKSPACE));
}

async function countVersions(w: World): Promise<number> {
  return (await w.database.query('SELECT count(*)::int AS n FROM policy_versions')).rows[0].n;
}

t.test('a reload activates version, event and head in one unit', async (t) => {
  const w = await world(t);
  const replica = await w.replica();
  const before = await headOf(replica);
  let reloads = 0;
  const observe = { reloaded: () => void reloads++, reloadFailed: () => t.fail('nothing failed'), activated: nothing };

  const answer = await replica
    .activation({ observe })
    .hotReload(WORKSPACE, reload('SECOND', { reason: 'tighter' }), CALLER);

  const head = await headOf(replica);
  t.equal(answer.oldHash, w.shipped.bundle.hash);
  t.equal(answer.newHash, head.hash);
  t.same(answer.revalidation, { id: null, state: 'done', total: 0, done: 0, invalidated: 0 });
  t.match(head, { version: 2, activatedBy: 'admin', shadow: null });
  t.ok(head.revision > before.revision);
  const event = (await w.events('policy.activated')).at(-1);
  t.equal(Number(event?.seq), head.activationSeq);
  t.match(event?.payload, { version: 2, policyHash: head.hash, previousHash: before.hash, reason: COMMITMENT });
  t.equal(reloads, 1);
  await t.resolves(replica.loader.ensureLoaded(WORKSPACE, head.hash));
});

t.test('the same content is the same version, and no change when it is active', async (t) => {
  const w = await world(t);
  const replica = await w.replica();
  const activation = replica.activation();
  await activation.hotReload(WORKSPACE, reload('SECOND'), CALLER);
  const again = await activation.hotReload(WORKSPACE, reload('SECOND'), CALLER);
  t.equal(again.oldHash, again.newHash);
  t.equal((await w.events('policy.activated')).length, 2, 'no event without a change');

  const back = await activation.hotReload(WORKSPACE, reload('PERMISSION_DENIED'), CALLER);
  t.equal(back.newHash, w.shipped.bundle.hash);
  t.equal(await countVersions(w), 2);
  t.match(await headOf(replica), { version: 1 });
});

t.test('another expected hash is a conflict and changes nothing', async (t) => {
  const w = await world(t);
  const replica = await w.replica();
  const expectedHash = `sha256:${'0'.repeat(64)}`;
  await t.rejects(replica.activation().hotReload(WORKSPACE, reload('SECOND', { expectedHash }), CALLER), {
    code: 'POLICY_HASH_CONFLICT',
  });
  t.match(await headOf(replica), { version: 1 });
  t.equal(await countVersions(w), 1);
});

t.test('two reloads at once on two replicas that expect the same hash: one wins', async (t) => {
  const w = await world(t);
  const [one, two] = await Promise.all([w.replica(), w.replica()]);
  const expectedHash = w.shipped.bundle.hash;
  const ends = await Promise.allSettled([
    one.activation().hotReload(WORKSPACE, reload('ONE', { expectedHash }), CALLER),
    two.activation().hotReload(WORKSPACE, reload('TWO', { expectedHash }), CALLER),
  ]);
  t.same(ends.map((end) => end.status).sort(), ['fulfilled', 'rejected']);
  const lost = ends.find((end) => end.status === 'rejected');
  t.match(lost?.reason, { code: 'POLICY_HASH_CONFLICT' });
  t.match(await headOf(one), { version: 2 });
});

t.test('the same new content twice at once is one version', async (t) => {
  const w = await world(t);
  const [one, two] = await Promise.all([w.replica(), w.replica()]);
  const answers = await Promise.all(
    [one, two].map((replica) => replica.activation().hotReload(WORKSPACE, reload('SAME'), CALLER)),
  );
  t.equal(answers[0]?.newHash, answers[1]?.newHash);
  t.equal(await countVersions(w), 2);
});

t.test('a bundle that does not compile is recorded, and the active version stays', async (t) => {
  const w = await world(t);
  const replica = await w.replica();
  let failures = 0;
  const observe = { reloaded: () => t.fail('not loaded'), reloadFailed: () => void failures++, activated: nothing };
  const bundle = { modules: { 'promotion.rego': 'package castellan.promotion\n\ndeny contains {' }, data: {} };
  await t.rejects(replica.activation({ observe }).hotReload(WORKSPACE, reload('', { bundle }), CALLER), PolicyInvalid);
  t.match(await headOf(replica), { version: 1 });
  t.match((await w.events('policy.rejected'))[0]?.payload, { code: 'POLICY_INVALID', policySet: 'default' });
  t.equal(failures, 1);
});

t.test('a version the engine cannot run never becomes active', async (t) => {
  const w = await world(t);
  const replica = await w.replica();
  const tryLoad = () => Promise.reject(new PolicyInvalid('needs a builtin that is not here'));
  await t.rejects(replica.activation({ tryLoad }).hotReload(WORKSPACE, reload('SECOND'), CALLER), PolicyInvalid);
  t.match(await headOf(replica), { version: 1 });
});

t.test('a candidate is tried beside the active version until something is enforced', async (t) => {
  const w = await world(t);
  const replica = await w.replica();
  const activation = replica.activation();
  const trial = await activation.hotReload(WORKSPACE, reload('SECOND', { mode: 'shadow', revalidate: true }), CALLER);
  t.equal(trial.oldHash, w.shipped.bundle.hash);
  t.match(await headOf(replica), { version: 1, hash: trial.oldHash, shadow: { version: 2, hash: trial.newHash } });
  t.equal((await w.events('policy.shadowed')).length, 1);
  await t.resolves(replica.loader.ensureLoaded(WORKSPACE, trial.newHash), 'its own event vouches for it');

  await activation.hotReload(WORKSPACE, reload('PERMISSION_DENIED'), CALLER);
  t.match(await headOf(replica), { version: 1, shadow: null }, 'enforcing what is active ends the trial');
  t.equal((await w.events('policy.activated')).length, 2);
});

t.test('a rollback points at an earlier version with an event of its own', async (t) => {
  const w = await world(t);
  const replica = await w.replica();
  const activation = replica.activation();
  const { newHash } = await activation.hotReload(WORKSPACE, reload('SECOND'), CALLER);
  const back = { version: 1, revalidate: false, reason: 'too tight' };
  t.match(await activation.rollback(WORKSPACE, back, CALLER), { oldHash: newHash, newHash: w.shipped.bundle.hash });
  const head = await headOf(replica);
  t.match(head, { version: 1 });
  const event = (await w.events('policy.rolledback'))[0];
  t.equal(Number(event?.seq), head.activationSeq);
  await t.resolves((await w.replica()).loader.ensureLoaded(WORKSPACE, head.hash));
  await t.rejects(activation.rollback(WORKSPACE, back, CALLER), { code: 'CONFLICT' });
  await t.rejects(activation.rollback(WORKSPACE, { ...back, version: 9 }, CALLER), { code: 'NOT_FOUND' });
});

t.test('a revalidation begins in the unit that activates', async (t) => {
  const w = await world(t);
  const replica = await w.replica();
  const revalidation = {
    begin: () => Promise.reject(new Error('the row could not be written')),
    follow: () => Promise.reject(new Error('never begun')),
  };
  await t.rejects(
    replica.activation({ revalidation }).hotReload(WORKSPACE, reload('SECOND', { revalidate: true }), CALLER),
    /could not be written/,
  );
  t.match(await headOf(replica), { version: 1 }, 'no activation without its revalidation');
  t.equal((await w.events('policy.activated')).length, 1);
});

t.test('a snapshot changes its tag whenever a member changes', async (t) => {
  const w = await world(t);
  const replica = await w.replica();
  const first = await replica.snapshots.read(WORKSPACE);
  t.equal(first.tag, `${w.shipped.bundle.hash}.${first.snapshot.revision}`);
  t.same(first.snapshot.bundle, { modules: modules(), data: {} });
  t.equal(await replica.snapshots.tag(WORKSPACE), first.tag);

  w.signers.revoked.push('proof-1');
  w.signers.revision += 1;
  const second = await replica.snapshots.read(WORKSPACE);
  t.same(second.snapshot.revokedSigners, ['proof-1']);
  t.ok(second.snapshot.revision > first.snapshot.revision);

  await replica.activation().hotReload(WORKSPACE, reload('SECOND'), CALLER);
  const third = await replica.snapshots.read(WORKSPACE);
  t.ok(third.snapshot.revision > second.snapshot.revision);
  await t.rejects(replica.snapshots.read('elsewhere'), { code: 'NOT_FOUND' });
});
