import t, { type Test } from 'tap';

import { openCheckpoint } from '../../src/transparency/checkpoint.ts';
import { memoryTree } from '../../src/transparency/memory-tree.ts';
import { leafHash } from '../../src/transparency/merkle.ts';
import { appendMany, type CheckpointBench, checkpointBench, ORIGIN } from './support.ts';

const HOUR = 3_600_000;

async function notesOf(bench: CheckpointBench) {
  const { rows } = await bench.database.query('SELECT * FROM audit_checkpoints ORDER BY size, created_at');
  return rows.map(({ note }) => openCheckpoint(note, ORIGIN, { log: [bench.key] }).checkpoint);
}

/** Everything recomputed from the bodies and the entries, without anything the service keeps for itself. */
async function requireSound(t: Test, bench: CheckpointBench): Promise<void> {
  const { rows: entries } = await bench.database.query('SELECT * FROM audit_checkpoint_entries ORDER BY index');
  const bodies = new Map<string, Buffer[]>();
  const { rows: events } = await bench.database.query('SELECT chain, body FROM audit_events ORDER BY chain, seq');
  for (const { chain, body } of events) bodies.set(chain, [...(bodies.get(chain) ?? []), leafHash(body)]);
  entries.forEach((row, index) => {
    const { chain, size, root, entry } = row;
    const own = memoryTree((bodies.get(chain) ?? []).slice(0, Number(size))).root;
    t.equal(Number(row.index), index, 'linear');
    t.ok(own.equals(root), `${chain} at ${size}`);
    t.equal(entry.toString(), `{"chain":"${chain}","root":"${own.toString('base64')}","size":${size},"v":1}`);
  });
  const leaves = entries.map(({ entry }) => leafHash(entry));
  for (const { size, rootHash } of await notesOf(bench)) {
    t.ok(memoryTree(leaves.slice(0, size)).root.equals(rootHash), `note over ${size}`);
  }
  const { rows: tiles } = await bench.database.query('SELECT * FROM audit_tiles WHERE level = 0');
  for (const { tree, index, hashes } of tiles) {
    const all = tree === '*' ? leaves : (bodies.get(tree) ?? []);
    t.ok(Buffer.concat(all.slice(Number(index) * 256, Number(index) * 256 + 256)).equals(hashes), `tile of ${tree}`);
  }
}

t.test('a round enters what has grown, in the order of names, and signs it', async (t) => {
  const bench = await checkpointBench(t, ['beta', 'alpha', 'idle', '_system']);
  const round = bench.rounds();
  t.match(await round(), { note: undefined, damaged: [] }, 'nothing to sign');
  await bench.append('beta', 3);
  await bench.append('alpha', 2);
  await bench.append('_system', 1);
  t.match(await round(), { note: { size: 3 }, damaged: [] });
  await bench.append('beta');
  t.match(await round(), { note: { size: 4 } });
  t.match(await round(), { note: undefined }, 'nothing new');
  const { rows } = await bench.database.query('SELECT chain, size::int FROM audit_checkpoint_entries ORDER BY index');
  t.strictSame(rows, [
    { chain: '_system', size: 1 },
    { chain: 'alpha', size: 2 },
    { chain: 'beta', size: 3 },
    { chain: 'beta', size: 4 },
  ]);
  await requireSound(t, bench);
});

t.test('full tiles of chains and of the log are stored, whatever the steps they fill in', async (t) => {
  const bench = await checkpointBench(t, ['alpha', 'beta']);
  const round = bench.rounds();
  for (const count of [255, 1, 300, 2, 700, 1]) {
    await appendMany(bench, 'alpha', count);
    await round();
  }
  for (let n = 0; n < 260; n += 1) {
    await bench.append('beta');
    await round();
  }
  await requireSound(t, bench);
  const { rows } = await bench.database.query(
    `SELECT tree, count(*)::int AS n FROM audit_tiles GROUP BY tree ORDER BY tree`,
  );
  t.strictSame(rows, [
    { tree: '*', n: 1 },
    { tree: 'alpha', n: 4 },
    { tree: 'beta', n: 1 },
  ]);
});

t.test('an idle log is signed anew once an hour', async (t) => {
  const bench = await checkpointBench(t, ['alpha']);
  const round = bench.rounds();
  await bench.append('alpha');
  await round();
  for (const [passed, made] of [
    [HOUR / 2, false],
    [HOUR, true],
    [HOUR + 10_000, false],
    [2 * HOUR, true],
  ] as const) {
    bench.time.now = Date.parse('2026-01-01T00:00:00.000Z') + passed;
    t.equal((await round()).note !== undefined, made, `${passed}`);
  }
  t.strictSame(
    (await notesOf(bench)).map(({ size }) => size),
    [1, 1, 1],
  );
});

t.test('two replicas at once, under appends, make one linear log', async (t) => {
  const chains = ['alpha', 'beta', 'gamma'];
  const bench = await checkpointBench(t, chains);
  const other = bench.replica();
  let open = 3;
  const writers = chains.map(async (chain, index) => {
    const by = index === 0 ? other : bench.audit;
    for (let n = 0; n < 150; n += 1) {
      await by.commit({
        chain,
        work: async ({ append }) =>
          append({
            type: 'workspace.created',
            actor: { id: 'x', kind: 'human' },
            payload: { workspaceId: chain, displayName: `${n}` },
          }),
      });
    }
    open -= 1;
  });
  const makers = [bench.rounds(), bench.rounds()].map(async (round) => {
    while (open > 0) t.strictSame((await round()).damaged, []);
    await round();
  });
  await Promise.all([...writers, ...makers]);
  await requireSound(t, bench);
  const notes = await notesOf(bench);
  t.ok(notes.length > 2);
  t.equal(notes.length, new Set(notes.map(({ size }) => size)).size, 'no size twice within an hour');
  const { rows } = await bench.database.query(
    `SELECT chain, max(size)::int AS size FROM audit_checkpoint_entries GROUP BY chain ORDER BY chain`,
  );
  t.strictSame(
    rows,
    chains.map((chain) => ({ chain, size: 150 })),
  );
});

t.test('a round that ends between the entries and the note is made good by the next', async (t) => {
  const bench = await checkpointBench(t, ['alpha']);
  await bench.append('alpha', 2);
  for (const point of ['checkpoint.entered', 'checkpoint.signed']) {
    const round = bench.rounds({
      failpoints: (name) => {
        if (name === point) throw new Error('killed');
      },
    });
    await t.rejects(round(), /killed/, point);
    t.strictSame(await notesOf(bench), [], 'no note');
    await bench.append('alpha');
  }
  t.match(await bench.rounds()(), { note: { size: 3 } }, 'entries at 2, 3 and 4');
  await requireSound(t, bench);
});

t.test('without the signer entries go on, and the note comes when it is back', async (t) => {
  const bench = await checkpointBench(t, ['alpha']);
  const round = bench.rounds();
  bench.noteSigner.broken = true;
  for (let n = 1; n <= 3; n += 1) {
    await bench.append('alpha');
    await t.rejects(round(), { code: 'SIGNER_UNAVAILABLE' });
  }
  bench.noteSigner.broken = false;
  t.match(await round(), { note: { size: 3 } });
  await requireSound(t, bench);
});

t.test('a signer that the registry does not have in force gets no note stored', async (t) => {
  const bench = await checkpointBench(t, ['alpha']);
  await bench.append('alpha');
  await bench.database.query(`UPDATE signers SET state = 'retired' WHERE signer_id = 'checkpoint-1'`);
  await t.rejects(bench.rounds()(), { code: 'SIGNER_UNAVAILABLE' });
  t.strictSame(await notesOf(bench), []);
});
