import pg from 'pg';
import t from 'tap';

import { testDatabase } from '../support/database.ts';
import { event, insertChain, insertSigner, type Row, type Step } from './support/history.ts';
import { verifyDirectly } from './support/run.ts';
import { audit, treeBytes } from './support/world.ts';

const CHAIN = 'one';

const database = await testDatabase(t);
const client = new pg.Client({ connectionString: database.superuserUrl });
await client.connect();
t.teardown(() => client.end());

t.test('of an event that stays among removed ones the text may have been erased by one of those', async (t) => {
  const rows: Row[] = [];
  const add = (step: Partial<Step> = {}) => rows.push(event(CHAIN, rows, { signer: audit, ...step }));
  const approve = (to: number) => {
    const tree = treeBytes(rows.slice(0, to)).toString('base64');
    add({ type: 'audit.pruned', payload: { to, hash: rows[to - 1]?.hash, tree, logSize: 1, reason: 'old' } });
  };
  add();
  add({ type: 'policy.activated', payload: { reason: { c: 'ab'.repeat(32) } } });
  add({ type: 'erasure.performed', payload: { values: 1 } });
  add();
  // The first one ends before the event that stays, the second behind the erasure.
  approve(1);
  approve(4);
  add({ type: 'agent.stopped', payload: { reason: { c: 'cd'.repeat(32) } } });
  await insertSigner(client, audit);
  await insertChain(client, rows);
  await client.query('SET session_replication_role = replica');
  await client.query('INSERT INTO audit_personal VALUES ($1, 7, $2, $3, $4, $5)', [
    CHAIN,
    'reason',
    'x',
    Buffer.alloc(32),
    'p-0',
  ]);
  await client.query('DELETE FROM audit_events WHERE seq = ANY($1)', [[1, 3, 4]]);
  const found = async () => {
    const { report } = await verifyDirectly(database.superuserUrl, CHAIN);
    return report.findings.map(({ seq, class: name }) => `${seq} ${name}`);
  };
  t.strictSame(await found(), ['4 pruned', '7 projection-edited'], 'a text that is not the one committed to');
  await client.query('DELETE FROM audit_personal');
  t.strictSame(await found(), ['4 pruned', '7 projection-edited'], 'a text that nobody erased');
});
