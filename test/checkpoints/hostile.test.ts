import t from 'tap';

import { appendMany, checkpointBench } from './support.ts';

/** Undoes what stands in the way of a superuser who edits. */
const OPEN = `SET session_replication_role = replica;`;

for (const [what, edit] of [
  ['an entry edited', `UPDATE audit_checkpoint_entries SET entry = convert_to('{}', 'UTF8') WHERE index = 0`],
  ['an entry removed', `DELETE FROM audit_checkpoint_entries WHERE index = 2`],
  ['a note edited', `UPDATE audit_checkpoints SET note = replace(note, E'\\n3\\n', E'\\n2\\n')`],
  ['a note stored under another size', `UPDATE audit_checkpoints SET size = 2`],
  ['a note by a signer that is none', `UPDATE audit_checkpoints SET signer_id = 'audit-1'`],
] as const) {
  t.test(`${what}: nothing is entered or signed any more`, async (t) => {
    const bench = await checkpointBench(t, ['alpha', 'beta', 'gamma']);
    for (const chain of ['alpha', 'beta', 'gamma']) await bench.append(chain);
    t.match(await bench.rounds()(), { note: { size: 3 } });
    await bench.database.query(OPEN + edit);
    await bench.append('alpha');
    const { signed } = bench.noteSigner;
    await t.rejects(bench.rounds()(), { code: 'CHECKPOINT_INCONSISTENT' });
    t.equal(bench.noteSigner.signed, signed, 'nothing signed');
    const { rows } = await bench.database.query('SELECT max(size)::int AS size FROM audit_checkpoint_entries');
    t.equal(rows[0].size, 1);
    await bench.append('alpha');
  });
}

t.test('a tile of the log that was edited: nothing is signed any more', async (t) => {
  const bench = await checkpointBench(t, ['alpha']);
  const round = bench.rounds();
  for (let n = 0; n < 257; n += 1) {
    await bench.append('alpha');
    await round();
  }
  await bench.database.query(`${OPEN} UPDATE audit_tiles SET root = sha256('x') WHERE tree = '*'`);
  await t.rejects(round(), { code: 'CHECKPOINT_INCONSISTENT' });
});

t.test('a database put back to before the newest note is not signed by the process that signed it', async (t) => {
  const bench = await checkpointBench(t, ['alpha']);
  const round = bench.rounds();
  await bench.append('alpha', 2);
  await round();
  await bench.database.query(
    `${OPEN} DELETE FROM audit_checkpoint_entries; DELETE FROM audit_checkpoints; DELETE FROM audit_checkpoint_chains`,
  );
  await bench.append('alpha');
  await t.rejects(round(), { code: 'CHECKPOINT_INCONSISTENT' });
});

for (const [what, edit] of [
  [
    'a body behind the newest entry edited',
    `UPDATE audit_events SET body = body || ' ' WHERE chain = 'beta' AND seq = 4`,
  ],
  ['an event removed', `DELETE FROM audit_events WHERE chain = 'beta' AND seq = 4`],
  [
    'the tree of the head edited',
    `UPDATE audit_heads SET tree = set_byte(tree, 9, get_byte(tree, 9) # 1) WHERE chain = 'beta'`,
  ],
  [
    'the tree of the head of another size',
    `UPDATE audit_heads SET tree = decode(repeat('00', 8), 'hex') WHERE chain = 'beta'`,
  ],
  ['the chain shorter than its newest entry', `UPDATE audit_heads SET seq = 2 WHERE chain = 'beta'`],
  ['a head far beyond its events', `UPDATE audit_heads SET seq = 9223372036854775806 WHERE chain = 'beta'`],
  ['its newest entry of another root', `UPDATE audit_checkpoint_entries SET root = sha256('x') WHERE chain = 'beta'`],
] as const) {
  t.test(`${what}: no checkpoint of that chain; the others go on`, async (t) => {
    const bench = await checkpointBench(t, ['alpha', 'beta', 'gamma']);
    const round = bench.rounds();
    for (const chain of ['alpha', 'beta', 'gamma']) await bench.append(chain, 3);
    await round();
    for (const chain of ['alpha', 'beta', 'gamma']) await bench.append(chain, 2);
    await bench.database.query(OPEN + edit);
    const { damaged, note } = await round();
    t.strictSame(damaged, ['beta']);
    t.match(note, { size: 5 });
    const { rows } = await bench.database.query(
      'SELECT chain FROM audit_checkpoint_entries WHERE index > 2 ORDER BY index',
    );
    t.strictSame(rows, [{ chain: 'alpha' }, { chain: 'gamma' }]);
  });
}

t.test('a body that was edited before the newest entry is found when its tile fills', async (t) => {
  const bench = await checkpointBench(t, ['alpha']);
  const round = bench.rounds();
  await appendMany(bench, 'alpha', 200);
  await round();
  await bench.database.query(`${OPEN} UPDATE audit_events SET body = body || ' ' WHERE seq = 7`);
  await appendMany(bench, 'alpha', 10);
  t.match(await round(), { damaged: [] });
  await appendMany(bench, 'alpha', 100);
  t.match(await round(), { damaged: ['alpha'], note: undefined });
});

t.test('what is kept for the next round may be lost or edited: it is made from the tiles and the rows', async (t) => {
  const bench = await checkpointBench(t, ['alpha']);
  const round = bench.rounds();
  await appendMany(bench, 'alpha', 300);
  await round();
  let size = 1;
  for (const edit of ['DELETE FROM audit_checkpoint_chains', `UPDATE audit_checkpoint_chains SET tree = '\\x00'`]) {
    await bench.database.query(edit);
    t.match(await round(), { damaged: [], note: undefined });
    await bench.append('alpha');
    size += 1;
    t.match(await round(), { damaged: [], note: { size } });
  }
});

t.test('entries, notes and tiles refuse to be changed', async (t) => {
  const bench = await checkpointBench(t, ['alpha']);
  await appendMany(bench, 'alpha', 300);
  await bench.rounds()();
  for (const statement of [
    `UPDATE audit_checkpoint_entries SET size = size + 1`,
    'DELETE FROM audit_checkpoint_entries',
    'TRUNCATE audit_checkpoint_entries',
    `UPDATE audit_tiles SET root = sha256('x')`,
    'DELETE FROM audit_tiles',
    'TRUNCATE audit_tiles',
    `UPDATE audit_checkpoints SET note = 'x' || note`,
    `UPDATE audit_checkpoints SET created_at = now()`,
    'DELETE FROM audit_checkpoints',
    'TRUNCATE audit_checkpoints',
  ]) {
    await t.rejects(bench.database.query(statement), { code: '42501' }, statement);
  }
});
