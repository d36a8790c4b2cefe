import t, { type Test } from 'tap';

import type { Unit } from '../../src/audit/append.ts';
import { decodeRange, emptyRange, extendRange } from '../../src/transparency/compact-range.ts';
import { leafHash } from '../../src/transparency/merkle.ts';
import { auditBench, type Bench } from './support.ts';

const actor = { id: 'tester', kind: 'human' } as const;

function unit(chain: string, fails = false): Unit<void> {
  return {
    chain,
    work: async ({ append }) => {
      append({ type: 'workspace.created', actor, payload: { workspaceId: chain, displayName: 'x' } });
      if (fails) throw new Error('no');
    },
  };
}

async function sameTree(t: Test, bench: Bench, chain: string, events: number): Promise<void> {
  const { rows } = await bench.database.query('SELECT body FROM audit_events WHERE chain = $1 ORDER BY seq', [chain]);
  const heads = await bench.database.query('SELECT tree FROM audit_heads WHERE chain = $1', [chain]);
  t.equal(rows.length, events);
  t.strictSame(
    decodeRange(heads.rows[0].tree),
    extendRange(
      emptyRange(),
      rows.map(({ body }) => leafHash(body)),
    ),
  );
}

t.test('the head keeps the tree over what was committed, whoever appends and whatever fails', async (t) => {
  const bench = await auditBench(t, ['alpha', 'beta']);
  const replicas = [bench.replica(), bench.replica()];
  const outcomes = await Promise.allSettled(
    Array.from({ length: 120 }, async (_, index) =>
      replicas[index % 2]?.commit(unit(index % 4 < 2 ? 'alpha' : 'beta', index % 5 === 0)),
    ),
  );
  t.equal(outcomes.filter(({ status }) => status === 'rejected').length, 24);
  await sameTree(t, bench, 'alpha', 48);
  await sameTree(t, bench, 'beta', 48);

  bench.signer.broken = true;
  await t.rejects(async () => replicas[0]?.commit(unit('alpha')));
  await sameTree(t, bench, 'alpha', 48);
  bench.signer.broken = false;
});

t.test(
  'a tree that is missing, unreadable or of another size is made from the rows before the chain goes on',
  async (t) => {
    const bench = await auditBench(t, ['alpha']);
    const audit = bench.replica();
    for (let n = 0; n < 5; n += 1) await audit.commit(unit('alpha'));
    let events = 5;
    for (const tree of ['NULL', `'\\x0011'`, `decode(repeat('00', 8), 'hex')`, `set_byte(tree, 7, 4)`]) {
      await bench.database.query(`UPDATE audit_heads SET tree = ${tree}`);
      await audit.commit(unit('alpha'));
      events += 1;
      await sameTree(t, bench, 'alpha', events);
    }
    await bench.database.query('UPDATE audit_heads SET seq = seq + 1');
    await t.rejects(audit.commit(unit('alpha')), { code: 'AUDIT_UNAVAILABLE' }, 'an event that is not there');
  },
);
