import pg from 'pg';
import t, { type Test } from 'tap';

import { checkpointBench } from './support.ts';

const NOW = '2026-01-01T00:00:00.000Z';
const hash = (n: number) => Buffer.alloc(32, n);

async function world(t: Test, role = 'castellan_app') {
  const bench = await checkpointBench(t, ['alpha', 'beta']);
  await bench.append('alpha', 2);
  await bench.rounds()();
  const url = role === 'castellan_app' ? bench.database.appUrl : bench.database.systemUrl;
  const client = new pg.Client({ connectionString: url, options: `-c role=${role}` });
  await client.connect();
  t.teardown(() => client.end());
  const call = (name: string, ...values: unknown[]) =>
    client.query(`SELECT * FROM ${name}(${values.map((_, index) => `$${index + 1}`).join(', ')})`, values);
  const enter = (after: number, chain: string, size: number) =>
    call('checkpoint_enter', after, [chain], [size], [hash(1)], [hash(2)], [Buffer.alloc(8)], NOW);
  return { bench, client, call, enter };
}

t.test('entries go behind the log as it was seen, and behind the newest of their chain', async (t) => {
  const { enter } = await world(t);
  await t.rejects(enter(0, 'beta', 1), { code: 'CA005' });
  await t.rejects(enter(2, 'beta', 1), { code: 'CA005' });
  await t.rejects(enter(1, 'alpha', 2), { code: 'CA006' });
  await t.rejects(enter(1, 'alpha', 1), { code: 'CA006' });
  await enter(1, 'alpha', 3);
  await enter(2, 'beta', 1);
});

t.test('a tile is written once', async (t) => {
  const { call } = await world(t);
  const tile = (content: number) =>
    call('checkpoint_tiles', ['alpha'], [0], [0], [Buffer.alloc(8192, content)], [hash(3)]);
  await tile(1);
  await tile(1);
  await t.rejects(tile(2), { code: 'CA006' });
});

t.test('a note is of a signer in force, and neither shorter nor a repetition', async (t) => {
  const { call, bench } = await world(t);
  const publish = (size: number, signer = 'checkpoint-1', olderThan = '2025-12-31T23:00:00.000Z') =>
    call('checkpoint_publish', size, 'note', signer, '2026-01-01T00:30:00.000Z', olderThan).then(
      ({ rows }) => rows[0].stored,
    );
  t.equal(await publish(1), false, 'as many entries, half an hour later');
  t.equal(await publish(1, 'checkpoint-1', NOW), true, 'an hour later, say');
  t.equal(await publish(9), true);
  t.equal(await publish(8), false);
  await t.rejects(publish(10, 'audit-1'), { code: 'CA001' }, 'for another purpose');
  await t.rejects(publish(10, 'nobody'), { code: 'CA001' });
  for (const change of [
    `not_before = '2027-01-01'`,
    `not_before = NULL, not_after = '2020-01-01'`,
    `state = 'pending'`,
  ]) {
    await bench.database.query(`UPDATE signers SET ${change} WHERE signer_id = 'checkpoint-1'`);
    await t.rejects(publish(10), { code: 'CA001' }, change);
  }
});

t.test('lines of witnesses go behind a note, once', async (t) => {
  const { call, bench } = await world(t);
  const { rows } = await bench.database.query('SELECT size, created_at, note FROM audit_checkpoints');
  for (let times = 0; times < 2; times += 1) {
    const answer = await call('checkpoint_cosign', rows[0].size, rows[0].created_at, '— w AAAA\n');
    t.strictSame(answer.rows, [{ note: `${rows[0].note}— w AAAA\n` }]);
  }
});

t.test('no role writes the tables itself, and who only reads calls no function that writes', async (t) => {
  for (const role of ['castellan_app', 'castellan_system']) {
    const { client, call } = await world(t, role);
    for (const statement of [
      `INSERT INTO audit_checkpoint_entries VALUES (9, 'alpha', 9, sha256('x'), 'x', now())`,
      `DELETE FROM audit_checkpoint_entries`,
      `UPDATE audit_checkpoint_chains SET size = 1`,
      `INSERT INTO audit_checkpoints VALUES (9, now(), 'x', 'x')`,
      `UPDATE audit_checkpoints SET note = note || 'x'`,
      `DELETE FROM audit_tiles`,
    ]) {
      await t.rejects(client.query(statement), { code: '42501' }, `${role}: ${statement}`);
    }
    if (role === 'castellan_system') {
      await t.rejects(call('checkpoint_cosign', 1, NOW, 'x'), { code: '42501' });
      await t.rejects(call('checkpoint_publish', 9, 'x', 'checkpoint-1', NOW, NOW), { code: '42501' });
    }
  }
});

t.test('a workspace sees its own entries and tiles, and nobody else’s', async (t) => {
  const { client, enter } = await world(t);
  await enter(1, 'beta', 1);
  const seen = async (workspace: string) => {
    await client.query(`SELECT set_config('castellan.workspace', $1, false)`, [workspace]);
    const { rows } = await client.query(
      `SELECT (SELECT string_agg(chain, ' ') FROM audit_checkpoint_entries) AS entries, (SELECT count(*)::int FROM audit_checkpoints) AS notes`,
    );
    return rows[0];
  };
  t.strictSame(await seen('alpha'), { entries: 'alpha', notes: 0 });
  t.strictSame(await seen('beta'), { entries: 'beta', notes: 0 });
  t.strictSame(await seen('_system'), { entries: null, notes: 1 });
});
