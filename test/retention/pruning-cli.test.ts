import t from 'tap';

import { auditPruneCommand } from '../../src/cli/audit-prune.ts';
import { event, insertRows, setHead } from '../audit-verify/support/history.ts';
import { testSigner } from '../audit-verify/support/keys.ts';
import { sink, verifyDirectly } from '../audit-verify/support/run.ts';
import { appendMany } from '../checkpoints/support.ts';
import { withClient } from '../support/postgres.ts';
import { loginAs, type PruningBench, pruningBench, seqsOf } from './pruning-support.ts';

async function run(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  const [out, err] = [sink(), sink()];
  const code = await auditPruneCommand.run(argv, { env: {}, stdout: out.stream, stderr: err.stream });
  return { code, out: out.text(), err: err.text() };
}

async function approvedBench(t: Parameters<typeof pruningBench>[0]): Promise<{ bench: PruningBench; url: string }> {
  const bench = await pruningBench(t, ['one', 'two']);
  await appendMany(bench, 'one', 20);
  await appendMany(bench, 'two', 3);
  await bench.round();
  await bench.approve('one', 12);
  return { bench, url: await loginAs(t, bench.database, ['castellan_maintenance', 'castellan_verifier']) };
}

t.test('what is approved is removed, once, and nothing else', async (t) => {
  const { bench, url } = await approvedBench(t);
  const { database } = bench;
  t.match(await run('--database-url', url, '--dry-run'), { code: 0, out: 'one: up to seq 12, 12 would be removed\n' });
  t.equal((await seqsOf(database, 'one')).length, 21, 'which removed nothing');
  const json = await run('--database-url', url, '--json');
  t.strictSame(
    { code: json.code, ...JSON.parse(json.out) },
    { code: 0, ok: true, dryRun: false, chains: [{ chain: 'one', to: 12, events: 12, removed: 12, refused: null }] },
  );
  t.equal((await seqsOf(database, 'one'))[0], 13);
  t.equal((await seqsOf(database, 'two')).length, 3);
  t.match(await verifyDirectly(database.superuserUrl, 'one'), { verdict: 'ok' });
  t.match(await run('--database-url', url), { code: 0, out: 'one: up to seq 12, 0 removed\n' }, 'run again');
  t.match(await run('--database-url', url, '--chain', 'two'), {
    code: 2,
    out: '',
    err: /no removal is approved for this chain/,
  });
});

t.test('nothing is removed from a chain that is damaged or held', async (t) => {
  const { bench, url } = await approvedBench(t);
  const { database } = bench;
  await database.query("INSERT INTO audit_holds VALUES ('one', 1, now(), 'x')");
  t.match(await run('--database-url', url), { code: 2, out: /0 removed, refused: the chain is under a legal hold/ });
  await database.query('DELETE FROM audit_holds');
  await database.query("SET session_replication_role = replica; UPDATE audit_events SET actor_id = 'x' WHERE seq = 15");
  t.match(await run('--database-url', url), {
    code: 1,
    out: /refused: verification says tampered: one 15 projection-edited/,
  });
  t.equal((await seqsOf(database, 'one')).length, 21);
});

t.test('an approval that somebody else put into the log removes nothing', async (t) => {
  const { bench, url } = await approvedBench(t);
  const { database } = bench;
  const { rows } = await database.query("SELECT hash FROM audit_heads WHERE chain = 'one'");
  const payload = { to: 18, hash: 'ab'.repeat(32), tree: '', logSize: 1, reason: 'none' };
  const forged = event('one', [], {
    seq: 22,
    prevHash: rows[0].hash,
    signer: testSigner('audit-1'),
    type: 'audit.pruned',
    payload,
  });
  await withClient(database.superuserUrl, async (client) => {
    await insertRows(client, [forged]);
    await setHead(client, forged);
  });
  t.match(
    await run('--database-url', url, '--dry-run'),
    { out: /up to seq 18, 18 would be removed/ },
    'the database takes it',
  );
  t.match(
    await run('--database-url', url),
    { code: 1, out: /0 removed, refused: .*22 signature-wrong/ },
    'the command does not',
  );
  t.equal((await seqsOf(database, 'one')).length, 22);
});

t.test('only a login of its own will do', async (t) => {
  const { bench } = await approvedBench(t);
  const { database } = bench;
  t.match(await run('--database-url', database.appUrl), { code: 2, err: /may not become castellan_maintenance/ });
  const blind = await loginAs(t, database, ['castellan_maintenance']);
  t.match(await run('--database-url', blind), { code: 2, out: /refused: / }, 'what cannot be verified stays');
  t.equal((await seqsOf(database, 'one')).length, 21);
  t.match(await run('--database-url', 'postgres://x@127.0.0.1:1/x'), { code: 3 });
  t.match(await run('--step', '3'), { code: 64 });
});
