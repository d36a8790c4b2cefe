import t from 'tap';
import { CALLER, reload, WORKSPACE, world } from './fixture.ts';
import cases from './tampering.json' with { type: 'json' };

t.test('what was edited in the database is not loaded', async (t) => {
  for (const { edit, hash, message, why } of cases) {
    await t.test(why, async (t) => {
      const w = await world(t);
      const writer = await w.replica();
      const { newHash } = await writer.activation().hotReload(WORKSPACE, reload('SECOND'), CALLER);
      const { shipped } = w;
      await t.resolves((await w.replica()).loader.ensureLoaded(WORKSPACE, newHash), 'before the edit');
      // The superuser is whom the signed event protects against; triggers do not stop one who may switch them off.
      await w.database.query(
        `DO $$ BEGIN SET LOCAL session_replication_role = replica; ${edit.replaceAll('$OLD', `'${shipped.bundle.hash}'`).replaceAll('$NEW', `'${newHash}'`)}; END $$`,
      );
      const wanted = hash === 'old' ? shipped.bundle.hash : newHash;
      await t.rejects((await w.replica()).loader.ensureLoaded(WORKSPACE, wanted), {
        code: 'POLICY_UNAVAILABLE',
        message: new RegExp(message),
      });
    });
  }
});

t.test('a hash that is loaded for one workspace is not therefore good for another', async (t) => {
  const w = await world(t);
  const replica = await w.replica();
  await replica.loader.ensureLoaded(WORKSPACE, w.shipped.bundle.hash);
  await t.rejects(replica.loader.ensureLoaded('other', w.shipped.bundle.hash), { code: 'POLICY_UNAVAILABLE' });
});

t.test('many at once load once', async (t) => {
  const w = await world(t);
  const replica = await w.replica();
  let loads = 0;
  const load = replica.engine.load;
  replica.engine.load = (hash, wasm) => {
    loads += 1;
    return load(hash, wasm);
  };
  await Promise.all(Array.from({ length: 20 }, () => replica.loader.ensureLoaded(WORKSPACE, w.shipped.bundle.hash)));
  t.equal(loads, 1);
});

t.test('a reload on one replica is what the other loads next', async (t) => {
  const w = await world(t);
  const [one, two] = await Promise.all([w.replica(), w.replica()]);
  await two.loader.ensureLoaded(WORKSPACE, w.shipped.bundle.hash);
  const { newHash } = await one.activation().hotReload(WORKSPACE, reload('SECOND'), CALLER);
  await two.loader.ensureLoaded(WORKSPACE, newHash);
  t.ok(two.engine.has(newHash));
});
