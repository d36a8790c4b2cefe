import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import t from 'tap';

import { checkpointBench } from '../checkpoints/support.ts';
import { runExport, verifyHere } from './support/run.ts';

t.test('what the service itself appends and signs is found good: trees, entries, notes, tiles', async (t) => {
  const bench = await checkpointBench(t, ['alpha', 'beta']);
  const url = bench.database.superuserUrl;
  const round = bench.rounds();
  const notes: string[] = [];
  for (let n = 0; n < 4; n += 1) {
    await bench.append('alpha');
    if (n % 2 === 0) await bench.append('beta');
    await round();
    notes.push((await bench.database.query('SELECT note FROM audit_checkpoints ORDER BY size')).rows.at(-1)?.note);
  }
  await bench.append('beta');
  const dir = t.testdir();
  const tiles = join(dir, 'tiles');
  mkdirSync(tiles);
  const outside = notes.flatMap((note, at) => {
    const path = join(dir, `note-${at}`);
    writeFileSync(path, note);
    return ['--checkpoint', path];
  });
  t.equal((await runExport(['--database-url', url, '--format', 'tiles', '--out', tiles])).code, 0);
  for (const source of [
    ['--database-url', url],
    ['--tiles', tiles],
  ]) {
    const found = await verifyHere([...source, ...outside]);
    t.match(found, { verdict: 'ok', report: { strength: 'anchored', findings: [] } });
    t.ok(found.report.events >= 7);
  }
  await bench.database.query(
    `SET session_replication_role = replica; UPDATE audit_heads SET tree = set_byte(tree, 20, 255 - get_byte(tree, 20))`,
  );
  const heads = await verifyHere(['--database-url', url]);
  t.ok(heads.report.findings.length >= 2);
  t.ok(heads.report.findings.every((finding) => finding.class === 'projection-edited'));
});
