import t from 'tap';

import { appendMany } from '../checkpoints/support.ts';
import { connectAs, loginAs, pruningBench, seqsOf } from './pruning-support.ts';

const DENIED = { code: '42501' };

t.test('only what was approved can be removed, by one role, through one function', async (t) => {
  const bench = await pruningBench(t, ['one', 'two']);
  const { database } = bench;
  await appendMany(bench, 'one', 12);
  await appendMany(bench, 'two', 6);
  await bench.round();
  const url = await loginAs(t, database, ['castellan_maintenance']);
  const maintenance = await connectAs(t, url, 'castellan_maintenance');

  await t.rejects(
    maintenance.query("SELECT * FROM audit_prune('one', 5, 100)"),
    { code: 'CA020' },
    'without an approval',
  );
  await bench.approve('one', 5);
  const prunable = await maintenance.query('SELECT * FROM audit_prunable()');
  t.match(prunable.rows, [{ chain: 'one', to_seq: '5', events: '5', held: false }]);
  for (const sql of [
    "DELETE FROM audit_events WHERE chain = 'one' AND seq = 1",
    "UPDATE audit_events SET actor_id = 'x'",
    'TRUNCATE audit_events',
    'SELECT FROM audit_events',
    'DELETE FROM audit_prunings',
    "INSERT INTO audit_prunings VALUES ('two', 3, 4, repeat('0', 64), '', '', 1, now())",
    'INSERT INTO audit_events SELECT * FROM audit_events LIMIT 1',
    'DELETE FROM audit_holds',
  ]) {
    await t.rejects(maintenance.query(sql), DENIED, sql);
  }
  await t.rejects(maintenance.query("SELECT * FROM audit_prune('two', 1, 100)"), { code: 'CA020' }, 'another chain');
  await t.rejects(maintenance.query("SELECT * FROM audit_prune('one', 6, 9)"), { code: 'CA020' }, 'further than that');
  await t.rejects(maintenance.query("SELECT * FROM audit_prune('one', 5, 0)"), { code: '22023' });

  const app = await connectAs(t, database.appUrl, 'castellan_app');
  await app.query("SELECT set_config('castellan.workspace', 'one', false)");
  const system = await connectAs(t, database.systemUrl, 'castellan_system');
  for (const client of [app, system]) {
    for (const sql of [
      "DELETE FROM audit_events WHERE chain = 'one' AND seq = 1",
      'TRUNCATE audit_events',
      "SELECT audit_prune('one', 5, 1)",
      "UPDATE audit_events SET actor_id = 'x'",
      'DELETE FROM audit_prunings',
    ]) {
      await t.rejects(client.query(sql), DENIED, sql);
    }
  }
  await t.rejects(app.query('UPDATE audit_prunings SET to_seq = 9'), DENIED);

  const owner = await connectAs(t, database.ownerUrl, 'castellan_owner');
  await t.rejects(
    owner.query("DELETE FROM audit_events WHERE chain = 'one' AND seq = 1"),
    DENIED,
    'not even the owner',
  );
  await t.rejects(owner.query("SELECT audit_prune('one', 5, 1)"), DENIED, 'whoever is not the role');
  t.equal((await seqsOf(database, 'one')).length, 13);

  const first = await maintenance.query("SELECT * FROM audit_prune('one', 5, 3)");
  t.match(first.rows, [{ deleted: '3', up_to: '3' }], 'in steps');
  const rest = await maintenance.query("SELECT * FROM audit_prune('one', 5, 100)");
  t.match(rest.rows, [{ deleted: '2', up_to: '5' }]);
  t.match((await maintenance.query("SELECT * FROM audit_prune('one', 5, 100)")).rows, [{ deleted: '0' }]);
  t.strictSame(await seqsOf(database, 'one'), [6, 7, 8, 9, 10, 11, 12, 13]);
  t.equal((await seqsOf(database, 'two')).length, 6);
});

t.test('an approval counts by its body, when it is covered, and never under a hold', async (t) => {
  const bench = await pruningBench(t, ['one']);
  const { database } = bench;
  await appendMany(bench, 'one', 8);
  await bench.round();
  const url = await loginAs(t, database, ['castellan_maintenance']);
  const maintenance = await connectAs(t, url, 'castellan_maintenance');
  const prune = async () => (await maintenance.query("SELECT * FROM audit_prune('one', 3, 100)")).rows;
  await bench.approve('one', 3);

  const replica = 'SET session_replication_role = replica';
  await database.query(
    `${replica}; UPDATE audit_events SET payload = payload || '{"to": 8}' WHERE event_type = 'audit.pruned'`,
  );
  await database.query(`${replica}; UPDATE audit_prunings SET to_seq = 8, leaves = repeat('x', 256)::bytea`);
  t.match(
    (await maintenance.query('SELECT * FROM audit_prunable()')).rows,
    [{ to_seq: '3' }],
    'not by what is beside it',
  );

  await database.query("INSERT INTO audit_holds VALUES ('one', 1, now(), 'x')");
  t.match((await maintenance.query('SELECT * FROM audit_prunable()')).rows, [{ held: true }]);
  await t.rejects(prune(), { code: 'CA021' });
  await database.query('DELETE FROM audit_holds');

  const notes = await database.query('SELECT * FROM audit_checkpoints');
  await database.query(`${replica}; DELETE FROM audit_checkpoints`);
  await t.rejects(prune(), { code: 'CA020' }, 'no published note');
  t.equal(notes.rowCount, 2);
  t.equal((await seqsOf(database, 'one')).length, 9);
});

t.test('what people wrote in the events goes with them', async (t) => {
  const bench = await pruningBench(t, ['one']);
  const { database } = bench;
  const reason = 'because';
  for (let n = 0; n < 4; n += 1) {
    await bench.audit.commit({
      chain: 'one',
      work: async ({ append }) =>
        append({ type: 'agent.stopped', actor: { id: 'p', kind: 'human' }, payload: { agentId: 'a', reason } }),
    });
  }
  await bench.round();
  await bench.approve('one', 2);
  const url = await loginAs(t, database, ['castellan_maintenance']);
  const maintenance = await connectAs(t, url, 'castellan_maintenance');
  await maintenance.query("SELECT * FROM audit_prune('one', 2, 1)");
  const left = async () =>
    (await database.query('SELECT seq FROM audit_personal ORDER BY seq')).rows.map((r) => Number(r.seq));
  t.strictSame(await left(), [2, 3, 4, 5]);
  await maintenance.query("SELECT * FROM audit_prune('one', 2, 1)");
  t.strictSame(await left(), [3, 4, 5]);
});
