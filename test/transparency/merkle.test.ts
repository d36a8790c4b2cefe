import t from 'tap';
import { memoryTree } from '../../src/transparency/memory-tree.ts';
import { emptyRoot, leafHash, nodeHash } from '../../src/transparency/merkle.ts';
import { verifyConsistency, verifyInclusion } from '../../src/transparency/verify-proof.ts';

/** The leaves that the implementations of Certificate Transparency and transparency-dev/merkle test with. */
const LEAVES = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'].map(
  (hex) => leafHash(Buffer.from(hex, 'hex')),
);

const ROOTS = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

const PATHS = [
  { size: 1, index: 0, proof: [] },
  {
    size: 8,
    index: 0,
    proof: [
      '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
    ],
  },
  {
    size: 8,
    index: 5,
    proof: [
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ],
  },
  { size: 3, index: 2, proof: ['fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125'] },
  {
    size: 5,
    index: 1,
    proof: [
      '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
    ],
  },
];

const CONSISTENCY = [
  { oldSize: 1, size: 1, proof: [] },
  {
    oldSize: 1,
    size: 8,
    proof: [
      '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
    ],
  },
  {
    oldSize: 6,
    size: 8,
    proof: [
      '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ],
  },
  {
    oldSize: 2,
    size: 5,
    proof: [
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
    ],
  },
  {
    oldSize: 6,
    size: 7,
    proof: [
      '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
      'b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ],
  },
];

t.test('hashes of RFC 6962', async (t) => {
  t.equal(emptyRoot().toString('hex'), ROOTS[0], 'of nothing');
  t.equal(leafHash(Buffer.alloc(0)).toString('hex'), ROOTS[1], 'of an empty leaf');
  t.equal(
    leafHash(Buffer.from('L123456')).toString('hex'),
    '395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56',
  );
  t.equal(
    leafHash(Buffer.alloc(70_000, 'x')).length,
    32,
    'a leaf may be of any length: what may be an entry is decided elsewhere',
  );
  const [left, right] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
  t.notSame(nodeHash(left, right), nodeHash(right, left));
  for (const bad of [Buffer.alloc(0), Buffer.alloc(31), Buffer.alloc(33)]) {
    t.throws(() => nodeHash(bad, right), { code: 'OUT_OF_RANGE' });
    t.throws(() => nodeHash(left, bad), { code: 'OUT_OF_RANGE' });
  }
});

t.test('the well-known roots', async (t) => {
  for (const [size, root] of ROOTS.entries()) {
    t.equal(memoryTree(LEAVES.slice(0, size)).root.toString('hex'), root, `of ${size} leaves`);
  }
});

t.test('the well-known inclusion proofs', async (t) => {
  for (const { size, index, proof } of PATHS) {
    const made = memoryTree(LEAVES.slice(0, size)).inclusionProof(index);
    t.same(made.map(hex), proof, `${index} in ${size}`);
    const claim = { index, size, leafHash: LEAVES[index] ?? Buffer.alloc(0), proof: proof.map(bytes) };
    t.ok(verifyInclusion({ ...claim, root: rootOf(size) }));
    t.notOk(verifyInclusion({ ...claim, root: rootOf(size - 1) }));
  }
});

t.test('the well-known consistency proofs', async (t) => {
  for (const { oldSize, size, proof } of CONSISTENCY) {
    const made = memoryTree(LEAVES.slice(0, size)).consistencyProof(oldSize);
    t.same(made.map(hex), proof, `${oldSize} to ${size}`);
    const claim = { oldSize, size, oldRoot: rootOf(oldSize), proof: proof.map(bytes) };
    t.ok(verifyConsistency({ ...claim, root: rootOf(size) }));
    t.notOk(verifyConsistency({ ...claim, root: rootOf(size - 1) }));
  }
});

function hex(value: Uint8Array): string {
  return Buffer.from(value).toString('hex');
}

function bytes(value: string): Buffer {
  return Buffer.from(value, 'hex');
}

function rootOf(size: number): Buffer {
  return bytes(ROOTS[size] ?? '');
}
