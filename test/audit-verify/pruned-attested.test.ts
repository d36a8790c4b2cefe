import pg from 'pg';
import t from 'tap';

import { testDatabase } from '../support/database.ts';
import { EPOCH, event, insertSigner, type Row, type Step } from './support/history.ts';
import { testSigner } from './support/keys.ts';
import { verifyHere } from './support/run.ts';
import { audit, logOver, store, treeBytes } from './support/world.ts';

const CHAIN = 'one';

const database = await testDatabase(t);
const url = database.superuserUrl;
const client = new pg.Client({ connectionString: url });
await client.connect();
t.teardown(() => client.end());

/** Trusted for its first event alone, where the limit is as given. */
function compromised(signerId: string, trustedMs: number) {
  const time = (ms: number) => new Date(EPOCH + ms).toISOString();
  return { ...testSigner(signerId), state: 'compromised', revokedAt: time(9e6), trustedUpTo: time(trustedMs) };
}

async function found() {
  const { verdict, report } = await verifyHere(['--database-url', url]);
  return { verdict, findings: report.findings.map(({ seq, class: name }) => `${seq} ${name}`) };
}

t.test('with an event that stays stays what vouches for it, and what vouches for that', async (t) => {
  const [stolen, second] = [compromised('stolen', 150), compromised('second', 50)];
  const rows: Row[] = [];
  const add = (step: Partial<Step> = {}) => rows.push(event(CHAIN, rows, { signer: audit, ...step }));
  const vouch = (signerId: string, from: number, to: number, signer = audit) => {
    const payload = { signerId, from, to, hash: rows[to - 1]?.hash, reason: 'compared' };
    add({ type: 'audit.range.reattested', payload, signer });
  };
  add({ signer: stolen });
  add({ signer: stolen, type: 'policy.activated' });
  add({ signer: stolen });
  vouch('stolen', 2, 3, second);
  vouch('stolen', 2, 3);
  vouch('second', 4, 4);
  add();
  add();
  const [to, hash] = [7, rows[6]?.hash];
  const tree = treeBytes(rows.slice(0, to));
  add({ type: 'audit.pruned', payload: { to, hash, tree: tree.toString('base64'), logSize: 1, reason: 'old' } });
  add();
  const chains = new Map([[CHAIN, rows]]);
  await store(client, { chains, ...logOver(chains, [new Map([[CHAIN, 8]]), new Map([[CHAIN, 10]])]) });
  for (const signer of [stolen, second]) await insertSigner(client, signer);
  await client.query(`INSERT INTO policy_heads VALUES ($1, 'default', 1, 'x', 2, NULL, NULL, NULL, now(), 'x', 1)`, [
    CHAIN,
  ]);
  await client.query('INSERT INTO audit_prunings VALUES ($1, $2, 9, $3, $4, $5, 1, now())', [
    CHAIN,
    to,
    hash,
    tree,
    Buffer.alloc(32 * to),
  ]);
  t.same(await found(), { verdict: 'ok', findings: ['2 reattested', '4 reattested'] });

  await client.query('SET session_replication_role = origin; SET ROLE castellan_maintenance');
  t.match((await client.query('SELECT events FROM audit_prunable()')).rows, [{ events: '2' }]);
  await client.query(`SELECT * FROM audit_prune('${CHAIN}', ${to}, 1000)`);
  await client.query('RESET ROLE');
  const { rows: left } = await client.query('SELECT seq FROM audit_events ORDER BY seq');
  t.same(
    left.map(({ seq }) => Number(seq)),
    [2, 3, 4, 5, 6, 8, 9, 10],
  );
  t.same(await found(), { verdict: 'ok', findings: ['2 reattested', '4 reattested', '7 pruned'] });
});
