import t from 'tap';
import { decodeBundle, encodeBundle } from '../../src/transparency/entry-bundle.ts';
import { parseTilePath, tileAt, tilePath } from '../../src/transparency/tile-path.ts';
import fc from '../support/fast-check.ts';

t.test('paths of the specification', async (t) => {
  const paths: [string, Parameters<typeof tilePath>[0]][] = [
    ['tile/0/x001/x234/067', { level: 0, index: 1_234_067, width: 256 }],
    ['tile/0/000', { level: 0, index: 0, width: 256 }],
    ['tile/0/999.p/255', { level: 0, index: 999, width: 255 }],
    ['tile/1/x001/000.p/1', { level: 1, index: 1_000, width: 1 }],
    ['tile/63/000', { level: 63, index: 0, width: 256 }],
    ['tile/entries/x123/x456/789.p/12', { level: 'entries', index: 123_456_789, width: 12 }],
  ];
  for (const [path, tile] of paths) {
    t.equal(tilePath(tile), path);
    t.same(parseTilePath(path), tile);
  }
  for (const change of [{ width: 0 }, { width: 257 }, { width: 1.5 }, { index: -1 }, { index: 2 ** 53 }]) {
    t.throws(() => tilePath({ level: 0, index: 0, width: 1, ...change }), { code: 'OUT_OF_RANGE' });
  }
});

t.test('every tile has one path', async () => {
  const level = fc.oneof(fc.nat({ max: 63 }), fc.constant('entries' as const));
  const tile = fc.record({ level, index: fc.maxSafeNat(), width: fc.integer({ min: 1, max: 256 }) });
  fc.assert(
    fc.property(tile, (one) => {
      const read = parseTilePath(tilePath(one));
      return read?.level === one.level && read.index === one.index && read.width === one.width;
    }),
  );
});

t.test('refuses every other path', async (t) => {
  for (const path of [
    '',
    'tile/0/0',
    'tile/0/00',
    'tile/0/1000',
    'tile/00/000',
    'tile/64/000',
    'tile/-1/000',
    'tile/0/x000/001',
    'tile/0/001/234',
    'tile/0/x001/x234',
    'tile/0/x001',
    'tile/0/000.p/0',
    'tile/0/000.p/01',
    'tile/0/000.p/256',
    'tile/0/000.p/',
    'tile/0/000.p',
    'tile/data/000',
    '/tile/0/000',
    'tile/0/000/',
    'tile/0/../000',
    'tile/0/000\n',
    `tile/0/${'x999/'.repeat(6)}999`,
    `tile/0/${'x001/'.repeat(200)}000`,
  ]) {
    t.equal(parseTilePath(path), undefined, path);
  }
});

t.test('the tiles of a tree of 70,000', async (t) => {
  t.same(tileAt(0, 69_887, 70_000), { level: 0, index: 272, width: 256 });
  t.same(tileAt(0, 69_888, 70_000), { level: 0, index: 273, width: 112 });
  t.same(tileAt('entries', 69_999, 70_000), { level: 'entries', index: 273, width: 112 });
  t.same(tileAt(1, 255, 70_000), { level: 1, index: 0, width: 256 });
  t.same(tileAt(1, 272, 70_000), { level: 1, index: 1, width: 17 });
  t.same(tileAt(2, 0, 70_000), { level: 2, index: 0, width: 1 });
  t.same(tileAt(1, 0, 256), { level: 1, index: 0, width: 1 });
  t.throws(() => tileAt(2, 1, 70_000), { code: 'OUT_OF_RANGE' });
  t.throws(() => tileAt(0, 70_000, 70_000), { code: 'OUT_OF_RANGE' });
});

t.test('entry bundles', async (t) => {
  const entries = ['', 'a', 'é', 'x'.repeat(65_535)].map((text) => Buffer.from(text));
  const bytes = encodeBundle(entries.slice(0, 3));
  t.equal(bytes.toString('hex'), '00000001610002c3a9');
  t.same(decodeBundle(encodeBundle(entries), 4), entries);
  t.same(decodeBundle(Buffer.alloc(0), 0), []);
  t.throws(() => encodeBundle([Buffer.alloc(65_536)]), { code: 'OUT_OF_RANGE' });
  const refused: [string, Uint8Array, number][] = [
    ['an entry too few', bytes, 4],
    ['an entry too many', bytes, 2],
    ['cut in an entry', bytes.subarray(0, -1), 3],
    ['cut in a length', bytes.subarray(0, 6), 3],
    ['something behind', Buffer.concat([bytes, Buffer.alloc(1)]), 3],
    ['an empty entry behind', Buffer.concat([bytes, Buffer.alloc(2)]), 3],
    ['a length past the end', Buffer.from('ffff00', 'hex'), 1],
    ['nothing', Buffer.alloc(0), 1],
  ];
  for (const [why, data, count] of refused) t.throws(() => decodeBundle(data, count), { code: 'MALFORMED' }, why);
});
