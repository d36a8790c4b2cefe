import t from 'tap';
import { memoryTree } from '../../src/transparency/memory-tree.ts';
import { emptyRoot, leafHash } from '../../src/transparency/merkle.ts';
import { consistencyProof, inclusionProof, type NodeReader, rootAt } from '../../src/transparency/proofs.ts';
import { coverOf, type NodeId } from '../../src/transparency/tree-nodes.ts';
import { verifyConsistency, verifyInclusion } from '../../src/transparency/verify-proof.ts';
import fc from '../support/fast-check.ts';
import { entriesOf, flipped, mth, path, proof } from './support/reference.ts';

const MAX = 2_000;
const ENTRIES = entriesOf(MAX);
const LEAVES = ENTRIES.map(leafHash);
const WHOLE = memoryTree(LEAVES);
/** A tree, and one of its leaves or one of its beginnings. */
const pair = fc.integer({ min: 1, max: MAX }).chain((size) => fc.tuple(fc.constant(size), fc.nat({ max: size - 1 })));
const runs = { numRuns: 150 };

t.test('roots and proofs are those of the definition', async () => {
  await fc.assert(
    fc.asyncProperty(pair, async ([size, index]) => {
      const entries = ENTRIES.slice(0, size);
      const same =
        (await rootAt(size, WHOLE.read)).equals(mth(entries)) &&
        equal(await inclusionProof(index, size, WHOLE.read), path(index, entries)) &&
        equal(await consistencyProof(index + 1, size, WHOLE.read), proof(index + 1, entries));
      return same && equal(memoryTree(LEAVES.slice(0, size)).inclusionProof(index), path(index, entries));
    }),
    runs,
  );
});

t.test('an inclusion proof holds, and no part of it can be other than it is', async () => {
  await fc.assert(
    fc.asyncProperty(pair, fc.nat(), async ([size, index], bit) => {
      const claim = {
        index,
        size,
        leafHash: leafHash(ENTRIES[index] ?? Buffer.alloc(0)),
        proof: await inclusionProof(index, size, WHOLE.read),
        root: await rootAt(size, WHOLE.read),
      };
      const refused = [
        ...damaged(claim.proof, bit).map((proof) => ({ ...claim, proof })),
        { ...claim, root: flipped(claim.root, bit) },
        { ...claim, leafHash: flipped(claim.leafHash, bit) },
        { ...claim, leafHash: claim.root.subarray(1) },
        { ...claim, root: Buffer.alloc(0) },
        ...[index - 1, index + 1, size, -1, 0.5, NaN].map((other) => ({ ...claim, index: other })),
      ];
      return verifyInclusion(claim) && refused.every((one) => !verifyInclusion(one));
    }),
    runs,
  );
});

t.test('a consistency proof holds, and no part of it can be other than it is', async () => {
  await fc.assert(
    fc.asyncProperty(pair, fc.nat(), async ([size, before], bit) => {
      const oldSize = before + 1;
      const claim = {
        oldSize,
        size,
        oldRoot: await rootAt(oldSize, WHOLE.read),
        root: await rootAt(size, WHOLE.read),
        proof: await consistencyProof(oldSize, size, WHOLE.read),
      };
      const refused = [
        ...damaged(claim.proof, bit).map((proof) => ({ ...claim, proof })),
        { ...claim, root: flipped(claim.root, bit) },
        { ...claim, oldRoot: flipped(claim.oldRoot, bit) },
        { ...claim, oldRoot: Buffer.alloc(0) },
        ...[oldSize - 1, size + 1, -1, 0.5, NaN].map((other) => ({ ...claim, oldSize: other })),
        { ...claim, size: oldSize - 1 },
      ];
      return verifyConsistency(claim) && refused.every((one) => !verifyConsistency(one));
    }),
    runs,
  );
});

t.test('every single bit of a proof counts', async (t) => {
  const claim = {
    index: 1_234,
    size: 1_999,
    leafHash: leafHash(ENTRIES[1_234] ?? Buffer.alloc(0)),
    proof: await inclusionProof(1_234, 1_999, WHOLE.read),
    root: await rootAt(1_999, WHOLE.read),
  };
  const grown = {
    oldSize: 1_234,
    size: 1_999,
    oldRoot: await rootAt(1_234, WHOLE.read),
    root: claim.root,
    proof: await consistencyProof(1_234, 1_999, WHOLE.read),
  };
  t.ok(verifyInclusion(claim));
  t.ok(verifyConsistency(grown));
  const holds = [...everyBit(claim.proof)].filter((proof) => verifyInclusion({ ...claim, proof }));
  const holdsToo = [...everyBit(grown.proof)].filter((proof) => verifyConsistency({ ...grown, proof }));
  t.equal(holds.length + holdsToo.length, 0);
});

t.test('a path of another length is not taken for one of this tree', async (t) => {
  const tree = memoryTree(LEAVES.slice(0, 8));
  const [leaf = tree.root] = LEAVES.slice(7);
  const proof = tree.inclusionProof(7);
  const claim = { index: 7, size: 8, leafHash: leaf, proof, root: tree.root };
  t.ok(verifyInclusion(claim));
  t.notOk(verifyInclusion({ ...claim, index: 3, size: 4 }), 'the last leaf of a smaller tree');
  const inner = memoryTree(LEAVES.slice(6, 8)).root;
  t.notOk(verifyInclusion({ ...claim, leafHash: inner, proof: proof.slice(1) }), 'a node that poses as a leaf');
  t.ok(
    verifyInclusion({ ...claim, index: 3, size: 4, leafHash: inner, proof: proof.slice(1) }),
    'whose hash it is, no path can say',
  );
  const grown = { oldSize: 4, size: 8, oldRoot: memoryTree(LEAVES.slice(0, 4)).root, root: tree.root };
  const proven = tree.consistencyProof(4);
  t.ok(verifyConsistency({ ...grown, proof: proven }));
  t.notOk(verifyConsistency({ ...grown, size: 16, proof: proven }), 'a path that ends before the top');
  t.notOk(verifyConsistency({ ...grown, oldSize: 8, oldRoot: tree.root, proof: proven }), 'equal sizes need none');
});

t.test('the tree before the first leaf', async (t) => {
  const root = await rootAt(7, WHOLE.read);
  const claim = { oldSize: 0, size: 7, oldRoot: emptyRoot(), root, proof: [] };
  t.same(await consistencyProof(0, 7, WHOLE.read), []);
  t.same(await rootAt(0, WHOLE.read), emptyRoot());
  t.ok(verifyConsistency(claim), 'is the beginning of every tree');
  t.notOk(verifyConsistency({ ...claim, oldRoot: root }), 'with the empty root only');
  t.notOk(verifyConsistency({ ...claim, proof: [root] }), 'and without a proof');
  t.ok(verifyConsistency({ ...claim, size: 0, root: emptyRoot() }));
  t.notOk(verifyConsistency({ ...claim, size: 0 }), 'an empty tree has no other root');
  t.notOk(verifyInclusion({ index: 0, size: 0, leafHash: root, proof: [], root }));
});

t.test('a proof of the greatest tree takes one reading of at most two nodes a level', async (t) => {
  const size = Number.MAX_SAFE_INTEGER;
  for (const index of [0, 1, 2 ** 32, 2 ** 52, size - 2, size - 1]) {
    const asked: NodeId[] = [];
    const proof = await inclusionProof(index, size, invented(asked));
    t.ok(asked.length <= 106, `${asked.length} for ${index}`);
    t.ok(proof.length <= 53);
    const grown = await consistencyProof(index + 1, size, invented(asked));
    t.ok(grown.length <= 54);
  }
  t.same(coverOf({ begin: 0, end: size }).length, 53);
  t.same(coverOf({ begin: 1, end: size }).length, 104);
});

t.test('proofs that a tree does not have, and nodes that are not there', async (t) => {
  const asks: [string, () => Promise<unknown>, string][] = [
    ['a leaf past the end', () => inclusionProof(5, 5, WHOLE.read), 'OUT_OF_RANGE'],
    ['a leaf of an empty tree', () => inclusionProof(0, 0, WHOLE.read), 'OUT_OF_RANGE'],
    ['a leaf before the first', () => inclusionProof(-1, 5, WHOLE.read), 'OUT_OF_RANGE'],
    ['half a leaf', () => inclusionProof(1.5, 5, WHOLE.read), 'OUT_OF_RANGE'],
    ['a size that is not exact', () => inclusionProof(1, 2 ** 53, WHOLE.read), 'OUT_OF_RANGE'],
    ['a tree that shrinks', () => consistencyProof(6, 5, WHOLE.read), 'OUT_OF_RANGE'],
    ['an old size that is not exact', () => consistencyProof(NaN, 5, WHOLE.read), 'OUT_OF_RANGE'],
    ['a root of no size', () => rootAt(-1, WHOLE.read), 'OUT_OF_RANGE'],
    ['a tree that is not stored', () => rootAt(MAX + 1, WHOLE.read), 'NODE_UNAVAILABLE'],
    ['an answer that is too short', () => inclusionProof(1, 5, async () => []), 'NODE_UNAVAILABLE'],
    ['hashes of another length', () => rootAt(3, async (n) => n.map(() => Buffer.alloc(31))), 'NODE_UNAVAILABLE'],
  ];
  for (const [why, ask, code] of asks) await t.rejects(ask(), { code }, why);
  t.throws(() => WHOLE.inclusionProof(MAX), { code: 'OUT_OF_RANGE' });
});

/** A reader for trees that nobody can store: what it gives is wrong, but there. */
function invented(asked: NodeId[]): NodeReader {
  return async (nodes) => {
    asked.splice(0, asked.length, ...nodes);
    return nodes.map(({ level, index }) => leafHash(Buffer.from(`${level}/${index}`)));
  };
}

function damaged(proof: readonly Buffer[], bit: number): Buffer[][] {
  const at = proof.length === 0 ? 0 : bit % proof.length;
  const one = proof[at];
  const longer = [
    [...proof, Buffer.alloc(32)],
    [Buffer.alloc(32), ...proof],
    [...proof, ...new Array<Buffer>(70).fill(Buffer.alloc(32))],
  ];
  if (one === undefined) return longer;
  return [
    ...longer,
    proof.toSpliced(at, 1),
    proof.toSpliced(at, 0, one),
    proof.with(at, flipped(one, bit)),
    proof.with(at, one.subarray(1)),
    proof.with(at, Buffer.concat([one, Buffer.alloc(1)])),
  ];
}

function* everyBit(proof: readonly Buffer[]): Generator<Buffer[]> {
  for (const [at, hash] of proof.entries()) {
    for (let bit = 0; bit < 256; bit += 1) yield proof.with(at, flipped(hash, bit));
  }
}

function equal(a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  return a.length === b.length && a.every((hash, i) => Buffer.compare(hash, b[i] ?? Buffer.alloc(0)) === 0);
}
