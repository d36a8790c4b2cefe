import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

import { runExport, verifyHere } from '../audit-verify/support/run.ts';
import { appendMany } from '../checkpoints/support.ts';
import { connectAs, loginAs, type PruningBench, pruningBench } from './pruning-support.ts';

async function prunedBench(
  t: Parameters<typeof pruningBench>[0],
  events: number,
): Promise<PruningBench & { prune: (to: number) => Promise<unknown> }> {
  const bench = await pruningBench(t, ['one']);
  const url = await loginAs(t, bench.database, ['castellan_maintenance']);
  const maintenance = await connectAs(t, url, 'castellan_maintenance');
  await appendMany(bench, 'one', events);
  await bench.round();
  return {
    ...bench,
    prune: async (to) => {
      await bench.approve('one', to);
      return maintenance.query('SELECT * FROM audit_prune($1, $2, 10000)', ['one', to]);
    },
  };
}

const found = async (argv: string[]) => {
  const { verdict, report } = await verifyHere(argv);
  return { verdict, events: report.events, findings: report.findings.map(({ seq, class: name }) => `${name} ${seq}`) };
};

t.test('tiles of a pruned chain, new and behind what was exported before', async (t) => {
  const bench = await prunedBench(t, 700);
  const url = bench.database.superuserUrl;
  const dir = t.testdir();
  const [older, newer] = [join(dir, 'older'), join(dir, 'newer')];
  const tiles = async (out: string) => {
    const { code, err } = await runExport(['--database-url', url, '--format', 'tiles', '--out', out]);
    t.equal(code, 0, err);
    return found(['--tiles', out]);
  };
  t.match(await tiles(older), { verdict: 'ok', events: 700, findings: [] });
  await appendMany(bench, 'one', 200);
  await bench.round();
  await bench.prune(880);
  const entries = (out: string) => readdirSync(join(out, 'chains/one/tile/entries')).sort();
  t.match(await tiles(newer), { verdict: 'ok', events: 21, findings: ['pruned 880'] });
  t.strictSame(entries(newer), ['003.p'], 'bundles that are gone are absent');
  t.strictSame(
    readdirSync(join(newer, 'chains/one/tile/0')).sort(),
    ['000', '001', '002', '003.p'],
    'their hashes are not',
  );
  t.match(
    await tiles(older),
    { verdict: 'ok', events: 721, findings: ['pruned 880'] },
    'what was exported before is kept',
  );
  for (const tile of ['000', '001', '002']) {
    const [a, b] = [older, newer].map((out) => readFileSync(join(out, 'chains/one/tile/0', tile)));
    t.ok(a !== undefined && b?.equals(a), `the same hashes in ${tile}`);
  }

  await appendMany(bench, 'one', 300);
  await bench.round();
  for (const out of [newer, older]) {
    t.match(await tiles(out), { verdict: 'ok', findings: ['pruned 880'] }, 'and both go on');
    t.match(await found(['--tiles', out, '--checkpoint', join(out, 'checkpoint')]), { verdict: 'ok' });
  }
  await bench.prune(1000);
  t.match(await tiles(newer), { verdict: 'ok', findings: ['pruned 880'] }, 'which are there still');
});

t.test('a line export of a pruned chain, and what was removed from it without an approval', async (t) => {
  const bench = await prunedBench(t, 30);
  const url = bench.database.superuserUrl;
  const dir = t.testdir();
  const signers = join(dir, 'signers.json');
  const tiles = join(dir, 'tiles');
  await bench.prune(20);
  await runExport(['--database-url', url, '--format', 'tiles', '--out', tiles]);
  writeFileSync(signers, readFileSync(join(tiles, 'signers.json')));
  const file = join(dir, 'log.jsonl');
  t.equal((await runExport(['--database-url', url, '--out', file])).code, 0);
  const argv = (path: string) => ['--export', path, '--signers', signers, '--log', tiles];
  t.match(await found(argv(file)), { verdict: 'ok', events: 11, findings: ['pruned 20'] });

  const lines = readFileSync(file, 'utf8').trim().split('\n');
  const put = (kept: string[]) => {
    const path = join(dir, 'damaged.jsonl');
    writeFileSync(path, `${kept.join('\n')}\n`);
    return path;
  };
  t.match(
    await found(argv(put(lines.slice(1)))),
    { verdict: 'tampered', findings: ['pruned 20', 'gap 21'] },
    'one more',
  );
  t.match(
    await found(argv(put(lines.slice(0, -1)))),
    { verdict: 'tampered', findings: ['gap 1'] },
    'the approval cut off',
  );
});

t.test('a state of before a pruning still works', async (t) => {
  const bench = await prunedBench(t, 30);
  const url = bench.database.superuserUrl;
  const state = join(t.testdir(), 'state.json');
  const argv = ['--database-url', url, '--state', state];
  t.match(await found(argv), { verdict: 'ok', events: 30 });
  await bench.prune(20);
  t.match(await found(argv), { verdict: 'ok', events: 2, findings: [] }, 'it ended behind what is gone');
  await appendMany(bench, 'one', 3);
  await bench.round();
  await bench.prune(31);
  t.match(await found(argv), { verdict: 'ok', events: 4, findings: ['pruned 31'] }, 'it ended where events are gone');
  const kept = JSON.parse(readFileSync(state, 'utf8'));
  t.equal(kept.chains.one.seq, 35, 'and goes on');
  t.match(await found(argv), { verdict: 'ok', events: 1, findings: [] });

  const { seq: _seq, ...other } = kept.chains.one;
  writeFileSync(state, JSON.stringify({ ...kept, chains: { one: { seq: 31, ...other } } }));
  await t.rejects(found(argv), { code: 'STATE' }, 'one of another history does not fit');
});
