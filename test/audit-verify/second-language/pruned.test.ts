import t from 'tap';

import { mth } from '../../transparency/support/reference.ts';
import { type Finding, missing, secondAndOurs } from '../support/both.ts';
import { event, history, type Row } from '../support/history.ts';
import { signHash, testSigner } from '../support/keys.ts';
import { treeBytes } from '../support/world.ts';

const ed = testSigner('ed');
const ec = testSigner('ec', 'ECDSA-P256-SHA256');
const registry = { signers: [ed, ec] };

/** A chain of which the events up to `to` may go, as its sixth one says. */
function approving(to: number, other: object = {}): Row[] {
  const rows = history(
    'demo',
    Array.from({ length: 5 }, () => ({ signer: ed })),
  );
  const tree = treeBytes(rows.slice(0, to)).toString('base64');
  const payload = { to, hash: rows[to - 1]?.hash, tree, logSize: 1, reason: 'old', ...other };
  rows.push(event('demo', rows, { signer: ec, type: 'audit.pruned', payload }));
  rows.push(event('demo', rows, { signer: ed }));
  return rows;
}

const removals: Record<string, { rows: Row[]; findings: string[] }> = {
  'what was removed as approved': { rows: approving(3).slice(3), findings: ['pruned 3'] },
  'a part of it': { rows: approving(3).slice(1), findings: ['pruned 3'] },
  'an approval alone': { rows: approving(3), findings: [] },
  'an event too many': { rows: approving(3).slice(4), findings: ['pruned 3', 'gap 4'] },
  'no approval': {
    rows: history('demo', [{ signer: ed }, { signer: ec }, { signer: ed }]).slice(1, 3),
    findings: ['gap 1'],
  },
  'an approval with another signature': {
    rows: approving(3)
      .map((row) => (row.seq === 6 ? { ...row, signature: signHash(ec.privateKey, 'ab'.repeat(32)) } : row))
      .slice(3),
    findings: ['gap 1', 'signature-wrong 6'],
  },
  'an approval of other events': {
    rows: approving(3, { hash: 'ab'.repeat(32) }).slice(3),
    findings: ['pruned 3', 'forked 6'],
  },
  'an approval with a tree of another size': {
    rows: approving(3, {
      tree: treeBytes(history('demo', [{ signer: ed }, { signer: ec }, { signer: ed }]).slice(0, 2)).toString('base64'),
    }).slice(3),
    findings: ['gap 1'],
  },
};
t.test('the tree goes on behind removed events', { skip: missing }, async (t) => {
  const rows = approving(3);
  const { second } = await secondAndOurs(t, rows.slice(3), { registry });
  t.equal(second.roots.demo, mth(rows.map(({ body }) => body)).toString('base64'));
});

for (const [name, { rows, findings }] of Object.entries(removals)) {
  t.test(`both judge removed events: ${name}`, { skip: missing }, async (t) => {
    const { second, ours } = await secondAndOurs(t, rows, { registry });
    const told = (found: Finding[]) => found.map(({ seq, class: one }) => `${one} ${seq}`);
    t.strictSame(told(second.findings), findings);
    t.strictSame(told(ours.findings), findings);
    t.equal(second.ok, ours.verdict === 'ok');
  });
}
