import t from 'tap';

import { verifyDirectly } from '../audit-verify/support/run.ts';
import { appendMany } from '../checkpoints/support.ts';
import { connectAs, loginAs, pruningBench } from './pruning-support.ts';

t.test('a pruned chain verifies, goes on, and can be pruned further', async (t) => {
  const bench = await pruningBench(t, ['one']);
  const { database } = bench;
  const url = await loginAs(t, database, ['castellan_maintenance']);
  const maintenance = await connectAs(t, url, 'castellan_maintenance');
  const prune = (to: number, limit: number) =>
    maintenance.query('SELECT * FROM audit_prune($1, $2, $3)', ['one', to, limit]);
  const verify = async () => {
    const { verdict, report } = await verifyDirectly(database.superuserUrl, 'one');
    return { verdict, findings: report.findings.map(({ seq, class: name, detail }) => `${name} ${seq} ${detail}`) };
  };

  await appendMany(bench, 'one', 300);
  await bench.round();
  await bench.approve('one', 270);
  t.match(await verify(), { verdict: 'ok', findings: [] }, 'an approval alone is nothing to tell');
  await prune(270, 100);
  t.match(await verify(), {
    verdict: 'ok',
    findings: ['pruned 270 100 events up to here were removed, as the event at seq 301 approves'],
  });
  await prune(270, 1000);
  t.match(await verify(), { verdict: 'ok', findings: ['pruned 270 270 events'] });

  // What is left of the tile that is not full yet is made of hashes that were kept.
  await appendMany(bench, 'one', 300);
  await bench.round();
  t.match(await verify(), { verdict: 'ok' });
  await database.query(
    "SET session_replication_role = replica; UPDATE audit_heads SET tree = NULL WHERE chain = 'one'",
  );
  await appendMany(bench, 'one', 1);
  await bench.round();
  t.match(await verify(), { verdict: 'ok' }, 'and a lost tree is made anew');
  const { damaged } = (await bench.round()) as { damaged: string[] };
  t.strictSame(damaged, []);

  await bench.approve('one', 600);
  await prune(600, 1000);
  t.match(await verify(), { verdict: 'ok', findings: ['pruned 600 600 events'] });
});
