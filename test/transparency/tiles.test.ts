import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { rootOf } from '../../src/transparency/compact-range.ts';
import { memoryTree } from '../../src/transparency/memory-tree.ts';
import { leafHash } from '../../src/transparency/merkle.ts';
import { consistencyProof, inclusionProof, rootAt } from '../../src/transparency/proofs.ts';
import { parseTilePath } from '../../src/transparency/tile-path.ts';
import { tileReader } from '../../src/transparency/tile-reader.ts';
import { writeTiles } from '../../src/transparency/tile-writer.ts';
import { entriesOf, flipped } from './support/reference.ts';

/** Past 256 full tiles, so that there are three levels. */
const ENTRIES = entriesOf(70_000);
const LEAVES = ENTRIES.map(leafHash);

t.test('a tree of three levels is written, and read back whole', async (t) => {
  const directory = t.testdir();
  const range = await writeTiles(directory, stream(ENTRIES));
  const tree = memoryTree(LEAVES);
  t.ok(rootOf(range).equals(tree.root));
  const files = filesOf(directory);
  t.same(
    ['tile/0', 'tile/1', 'tile/2', 'tile/entries'].map(
      (level) => files.filter((name) => name.startsWith(`${level}/`)).length,
    ),
    [274, 2, 1, 274],
  );
  t.ok(files.every(parseTilePath), 'there is nothing else');
  t.ok(files.includes('tile/0/273.p/112') && files.includes('tile/1/001.p/17') && files.includes('tile/2/000.p/1'));

  const { read, entries } = tileReader(directory, 70_000);
  t.ok((await rootAt(70_000, read)).equals(tree.root));
  for (const index of [0, 1, 255, 256, 65_535, 65_536, 69_887, 69_888, 69_999]) {
    t.same(await inclusionProof(index, 70_000, read), tree.inclusionProof(index), `${index}`);
    t.same(await consistencyProof(index + 1, 70_000, read), tree.consistencyProof(index + 1), `from ${index + 1}`);
  }
  let next = 0;
  let wrong = 0;
  for await (const { index, entry, leafHash, intact } of entries()) {
    const same = ENTRIES[index]?.equals(entry) && LEAVES[index]?.equals(leafHash);
    if (index !== next || !intact || !same) wrong += 1;
    next += 1;
  }
  t.same([next, wrong], [70_000, 0]);
  t.same(await indexes(directory, 70_000, 69_998), [69_998, 69_999]);
  t.same(await indexes(directory, 70_000, 70_000), []);
});

t.test('a smaller tree is read from the files of a larger one', async (t) => {
  const directory = t.testdir();
  await writeTiles(directory, ENTRIES.slice(0, 300));
  await writeTiles(directory, ENTRIES.slice(300, 700), 300);
  const tree = memoryTree(LEAVES.slice(0, 300));
  t.ok((await rootAt(300, tileReader(directory, 300).read)).equals(tree.root));
  t.equal((await indexes(directory, 300, 0)).length, 300);
});

t.test('goes on where it was, however often', async (t) => {
  const [whole, pieces] = [join(t.testdir({ a: {}, b: {} }), 'a'), join(t.testdirName, 'b')];
  await writeTiles(whole, ENTRIES.slice(0, 1_000));
  let range = await writeTiles(pieces, []);
  t.same(filesOf(pieces), [], 'an empty tree has no tiles');
  for (const end of [1, 2, 255, 256, 257, 257, 511, 512, 770, 1_000]) {
    range = await writeTiles(pieces, stream(ENTRIES.slice(range.end, end)), range.end);
    t.ok(rootOf(range).equals(memoryTree(LEAVES.slice(0, end)).root), `${end}`);
  }
  const files = filesOf(whole);
  for (const name of files) t.ok(readFileSync(join(whole, name)).equals(readFileSync(join(pieces, name))), name);
  t.notOk(existsSync(join(pieces, 'tile/0/000.p')), 'the partial tiles of a full one are gone');
  t.notOk(existsSync(join(pieces, 'tile/entries/000.p')));
  t.ok(existsSync(join(pieces, 'tile/1/000.p/1')), 'those of an open one stay');
});

t.test('what was broken off is begun again', async (t) => {
  const directory = t.testdir({ '.unfinished-tile': 'half a tile' });
  await writeTiles(directory, ENTRIES.slice(0, 300));
  await t.rejects(writeTiles(directory, failing(ENTRIES.slice(300, 900)), 300), { message: 'the source is gone' });
  const range = await writeTiles(directory, ENTRIES.slice(300, 1_000), 300);
  t.ok(rootOf(range).equals(memoryTree(LEAVES.slice(0, 1_000)).root));
  t.ok((await rootAt(1_000, tileReader(directory, 1_000).read)).equals(rootOf(range)));
  t.ok(filesOf(directory).every(parseTilePath), 'nothing unfinished is left');
});

t.test('a history that was rewritten does not pass over the one that is there', async (t) => {
  const directory = t.testdir();
  await writeTiles(directory, ENTRIES.slice(0, 300));
  const before = readFileSync(join(directory, 'tile/entries/000'));
  await t.rejects(writeTiles(directory, entriesOf(300, 1)), { code: 'TILE_CONFLICT' });
  t.same(readFileSync(join(directory, 'tile/entries/000')), before);
});

t.test('damaged and missing files', async (t) => {
  const directory = t.testdir();
  const file = (name: string) => join(directory, name);
  await writeTiles(directory, ENTRIES.slice(0, 600));
  const [bundle, hashes] = [readFileSync(file('tile/entries/001')), readFileSync(file('tile/0/002.p/88'))];

  writeFileSync(file('tile/entries/001'), flipped(bundle, 8 * 5));
  const damaged: number[] = [];
  for await (const { index, intact } of tileReader(directory, 600).entries()) if (!intact) damaged.push(index);
  t.same(damaged, [256], 'an entry that was changed is named');
  writeFileSync(file('tile/entries/001'), bundle.subarray(0, -1));
  await t.rejects(indexes(directory, 600, 256), { code: 'MALFORMED' });
  await t.rejects(indexes(directory, 600, 0), { code: 'MALFORMED' });

  for (const wrong of [hashes.subarray(1), Buffer.alloc(0), Buffer.concat([hashes, Buffer.alloc(32)])]) {
    writeFileSync(file('tile/0/002.p/88'), wrong);
    await t.rejects(rootAt(600, tileReader(directory, 600).read), { code: 'MALFORMED' });
    await t.rejects(writeTiles(directory, [], 600), { code: 'MALFORMED' }, 'nothing is written behind it');
  }
  rmSync(file('tile/0/002.p/88'));
  await t.rejects(rootAt(600, tileReader(directory, 600).read), { code: 'NODE_UNAVAILABLE' });
  await t.rejects(indexes(directory, 600, 599), { code: 'NODE_UNAVAILABLE' });
  await t.rejects(writeTiles(directory, ENTRIES, 600), { code: 'NODE_UNAVAILABLE' });
});

t.test('asks and entries that are too large', async (t) => {
  const directory = t.testdir();
  await writeTiles(directory, [Buffer.alloc(65_535, 1)]);
  t.same(await indexes(directory, 1, 0), [0]);
  await t.rejects(writeTiles(directory, [Buffer.alloc(65_536)], 1), { code: 'OUT_OF_RANGE' });
  await t.rejects(writeTiles(directory, [], -1), { code: 'OUT_OF_RANGE' });
  await t.rejects(
    rootAt(2, tileReader(directory, 1).read),
    { code: 'OUT_OF_RANGE' },
    'past the size it was opened for',
  );
  await t.rejects(indexes(directory, 1, -1), { code: 'OUT_OF_RANGE' });
  t.throws(() => tileReader(directory, 2 ** 53), { code: 'OUT_OF_RANGE' });
});

async function* stream(entries: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* entries;
}

async function* failing(entries: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* entries;
  throw new Error('the source is gone');
}

async function indexes(directory: string, size: number, from: number): Promise<number[]> {
  const found: number[] = [];
  for await (const { index } of tileReader(directory, size).entries(from)) found.push(index);
  return found;
}

function filesOf(directory: string): string[] {
  const all = readdirSync(directory, { recursive: true, withFileTypes: true });
  return all.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name).slice(directory.length + 1));
}
