import fc from 'fast-check';
import t from 'tap';

import { ChainTree } from '../../src/audit/verify/chain-tree.ts';
import { ChainClaims, Claims } from '../../src/audit/verify/claims.ts';
import { GrowingTree } from '../../src/audit/verify/growing-tree.ts';
import { leafHash } from '../../src/transparency/merkle.ts';
import { entriesOf, mth } from '../transparency/support/reference.ts';

const entries = entriesOf(70);

t.test('a tree grows as RFC 6962 has it, also from its own bytes on', async (t) => {
  fc.assert(
    fc.property(fc.nat({ max: 70 }), fc.nat({ max: 70 }), (a, b) => {
      const tree = new GrowingTree();
      for (const entry of entries.slice(0, Math.min(a, b))) tree.add(leafHash(entry));
      const again = GrowingTree.from(tree.bytes());
      for (const entry of entries.slice(Math.min(a, b), Math.max(a, b))) again?.add(leafHash(entry));
      return again?.root().equals(mth(entries.slice(0, Math.max(a, b)))) === true;
    }),
  );
  const bytes = treeOf(5).bytes();
  for (const wrong of [
    bytes.subarray(0, 7),
    bytes.subarray(0, -1),
    bytes.subarray(0, -32),
    Buffer.concat([bytes, bytes]),
  ]) {
    t.equal(GrowingTree.from(wrong), undefined);
  }
  t.equal(GrowingTree.from(Buffer.alloc(8, 255)), undefined, 'more than can be counted');
});

t.test('nobody goes on from a tree that is not the one in the log of checkpoints', async (t) => {
  const claims = new ChainClaims();
  claims.add(3, root(3));
  claims.add(6, Buffer.alloc(32));
  const tree = new ChainTree(claims);
  entries.slice(0, 10).forEach((entry, at) => {
    tree.add(at + 1, leafHash(entry));
    t.equal(tree.bytesAt(at + 1) !== undefined, at + 1 < 6, `${at + 1}`);
  });
  t.match(tree.finish(undefined), [{ seq: 4, class: 'history-rewritten' }]);
});

t.test('a difference that other damage explains is not told again', async (t) => {
  const finish = (differing: number[]) => {
    const claims = new ChainClaims();
    claims.add(3, root(3));
    claims.add(6, Buffer.alloc(32));
    const tree = new ChainTree(claims);
    entries.slice(0, 10).forEach((entry, at) => void tree.add(at + 1, leafHash(entry)));
    for (const seq of differing) tree.differs(seq);
    return tree.finish(undefined).length;
  };
  t.strictSame([finish([4]), finish([6]), finish([7]), finish([3]), finish([8]), finish([])], [0, 0, 0, 1, 1, 1]);
});

t.test(
  'claims stay bounded: the newest of each chain, and what is anchored, are never dropped',
  { timeout: 60_000 },
  async (t) => {
    const claims = new Claims();
    const hash = Buffer.alloc(32, 1);
    for (let size = 1; size <= 5; size += 1) claims.add('early', size, hash);
    for (let size = 1; size <= 100; size += 1) claims.add('long', size, hash);
    claims.anchor();
    for (let size = 101; size <= 450_000; size += 1) claims.add('long', size, Buffer.alloc(32, size % 251));
    const long = claims.of('long');
    t.ok((long?.count ?? 0) <= 200_001);
    t.ok(claims.dropped > 200_000);
    t.equal(long?.newest, 450_000);
    t.equal(claims.of('early')?.newest, 5);
    const sizes = Array.from({ length: long?.count ?? 0 }, (_, at) => long?.size(at) ?? 0);
    t.ok(sizes.includes(100));
    t.ok(sizes.every((size, at) => at === 0 || size > (sizes[at - 1] ?? 0)));
    t.ok(sizes.every((size, at) => size <= 100 || long?.root(at)[0] === size % 251));
  },
);

function treeOf(size: number): GrowingTree {
  const tree = new GrowingTree();
  for (const entry of entries.slice(0, size)) tree.add(leafHash(entry));
  return tree;
}

function root(size: number): Buffer {
  return mth(entries.slice(0, size));
}
