import t from 'tap';

import { PolicyEvaluationError } from '../../src/policy/errors.ts';
import { readHead } from '../../src/policy/head.ts';
import { CALLER, type Replica, reload, WORKSPACE, world } from './fixture.ts';

const OPERATOR = { actor: { id: 'someone', roles: ['operator'] } };

async function ask(replica: Replica, hash: string, activationSeq?: number | null): Promise<string[] | undefined> {
  const outcome = await replica.policy.evaluate(WORKSPACE, hash, 'castellan.promotion', OPERATOR, activationSeq);
  return outcome?.deny.map(({ code }) => code);
}

function headOf(replica: Replica) {
  return replica.storage.read(WORKSPACE, (trx) => readHead(trx, WORKSPACE));
}

t.test('a version answers once it is loaded, again after it was pushed out, and for its packages only', async (t) => {
  const w = await world(t);
  const replica = await w.replica();
  const { hash } = w.shipped.bundle;
  t.same(await ask(replica, hash), ['PERMISSION_DENIED']);
  replica.engine.unload(hash);
  t.same(await ask(replica, hash), ['PERMISSION_DENIED']);
  t.equal(await replica.policy.evaluate(WORKSPACE, hash, 'castellan.runtime', OPERATOR), undefined);
  await t.rejects(ask(replica, `sha256:${'0'.repeat(64)}`), { code: 'POLICY_UNAVAILABLE' });
  await t.resolves(replica.policy.ready());
});

t.test('a version pushed out between loading and asking is loaded once more', async (t) => {
  const w = await world(t);
  const replica = await w.replica();
  const { hash } = w.shipped.bundle;
  const { evaluate } = replica.engine;
  let asked = 0;
  replica.engine.evaluate = (...question) => {
    asked += 1;
    if (asked === 1) replica.engine.unload(hash);
    return evaluate(...question);
  };
  t.same(await ask(replica, hash), ['PERMISSION_DENIED']);
  t.equal(asked, 2);
});

t.test('what one replica activates the other evaluates', async (t) => {
  const w = await world(t);
  const [one, two] = await Promise.all([w.replica(), w.replica()]);
  const before = await headOf(two);
  t.same(await ask(two, before.hash, before.activationSeq), ['PERMISSION_DENIED']);
  await one.activation().hotReload(WORKSPACE, reload('SECOND'), CALLER);
  const after = await headOf(two);
  t.same(await ask(two, after.hash, after.activationSeq), ['SECOND']);
  t.same(await ask(two, before.hash, before.activationSeq), ['PERMISSION_DENIED'], 'a reader that was a moment early');
});

t.test('a head that was put back is refused though both versions are loaded and known', async (t) => {
  const w = await world(t);
  const replica = await w.replica();
  const old = await headOf(replica);
  await ask(replica, old.hash, old.activationSeq);
  await replica.activation().hotReload(WORKSPACE, reload('SECOND'), CALLER);
  const present = await headOf(replica);
  await ask(replica, present.hash, present.activationSeq);
  const point = (hash: string, seq: number) =>
    w.database.query('UPDATE policy_heads SET version = 1, hash = $1, activation_seq = $2', [hash, seq]);

  await point(old.hash, old.activationSeq);
  await t.rejects(ask(replica, old.hash, old.activationSeq), { message: /not at the newest activation/ });
  await t.rejects(ask(replica, old.hash, null), { code: 'POLICY_UNAVAILABLE' });
  await point(old.hash, present.activationSeq);
  await t.rejects(ask(replica, old.hash, present.activationSeq), { message: /names another policy hash/ });
  await w.database.query('UPDATE policy_heads SET version = 2, hash = $1', [present.hash]);
  t.same(await ask(replica, present.hash, present.activationSeq), ['SECOND']);
  await t.rejects(ask(replica, present.hash, null), { code: 'POLICY_UNAVAILABLE' }, 'whoever read it saw a later one');
});

t.test(
  'a policy goes on being loaded when its signer is revoked later, and never when it is compromised',
  async (t) => {
    const w = await world(t);
    const { hash } = w.shipped.bundle;
    const signer = (change: string) => w.database.query(`UPDATE signers SET ${change} WHERE signer_id = 'audit-1'`);
    await signer("state = 'revoked', revoked_at = now() + interval '1 second'");
    await t.resolves((await w.replica()).loader.ensureLoaded(WORKSPACE, hash));
    for (const change of [
      "revoked_at = now() - interval '1 hour'",
      "state = 'compromised', revoked_at = now() + interval '1 hour'",
    ]) {
      await signer(change);
      await t.rejects(
        (await w.replica()).loader.ensureLoaded(WORKSPACE, hash),
        { code: 'POLICY_UNAVAILABLE', message: /signer of the activation event is not trusted/ },
        change,
      );
    }
  },
);

t.test('a stored policy that cannot be loaded here is away, which says nothing about any agent', async (t) => {
  const w = await world(t);
  const replica = await w.replica();
  replica.engine.load = () => Promise.reject(new PolicyEvaluationError('POLICY_EVALUATION_FAILED', 'stopped'));
  await t.rejects(ask(replica, w.shipped.bundle.hash), { code: 'POLICY_UNAVAILABLE' });
  await t.rejects(replica.policy.ready());
});
