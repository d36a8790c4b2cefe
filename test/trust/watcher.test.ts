import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';

import type { Loaded, WatchedSource } from '../../src/trust/watched.ts';
import { createWatcher } from '../../src/trust/watcher.ts';
import { emptyDir, mountedSecret } from './mounted.ts';

const NOTHING = { switched: [], refused: [] };

/** A source that is in force with the text of its files, unless that holds `bad`. */
function textSource(name: string, paths: readonly string[], log: string[] = []) {
  const loads: string[] = [];
  const source: WatchedSource = {
    name,
    paths,
    load: async (contents): Promise<Loaded> => {
      const text = paths.map((path) => contents.get(path)?.toString()).join('|');
      loads.push(text);
      if (text.includes('bad')) throw new Error('it is bad');
      return { apply: () => log.push(`${name}: ${text}`), ends: [], events: () => [] };
    },
  };
  return { source, loads, log };
}

async function oneFile(t: Parameters<typeof emptyDir>[0], text: string) {
  const path = join(await emptyDir(t), 'file');
  await writeFile(path, text);
  const { source, loads, log } = textSource('it', [path]);
  return { path, loads, log, watcher: createWatcher([source]) };
}

t.test('a change is in force with the next look, and nothing happens without one', async (t) => {
  const { path, loads, log, watcher } = await oneFile(t, 'one');
  t.match(await watcher.load(), { switched: [{ source: 'it' }], refused: [] });
  t.same(await watcher.look(), NOTHING);
  await writeFile(path, 'one');
  t.same(await watcher.look(), NOTHING, 'written anew, the same');
  t.same(loads, ['one'], 'and not even read as a certificate');
  // The same length within the same tick of the file system: only the contents tell.
  await writeFile(path, 'two');
  t.match(await watcher.look(), { switched: [{ source: 'it' }] });
  t.same(log, ['it: one', 'it: two']);
});

t.test('what cannot be used is told once, at the second look, and the last good stays', async (t) => {
  const { path, log, watcher } = await oneFile(t, 'one');
  await watcher.load();
  await writeFile(path, 'bad');
  t.same(await watcher.look(), NOTHING, 'the writer may not have finished');
  const { refused } = await watcher.look();
  t.match(refused, [{ source: 'it', digest: /^sha256:/, problems: ['it is bad'] }]);
  t.same(await watcher.look(), NOTHING, 'told already');
  await writeFile(path, 'bad too');
  await watcher.look();
  t.match(await watcher.look(), { refused: [{ problems: ['it is bad'] }] }, 'another mistake is another matter');
  await writeFile(path, 'two');
  await watcher.look();
  t.same(log, ['it: one', 'it: two']);
});

t.test('a mistake that is taken back is told again when it is made again', async (t) => {
  const { path, watcher } = await oneFile(t, 'one');
  await watcher.load();
  for (let time = 0; time < 2; time += 1) {
    await writeFile(path, 'bad');
    await watcher.look();
    t.match(await watcher.look(), { refused: [{ source: 'it' }] });
    await writeFile(path, 'one');
    t.same(await watcher.look(), NOTHING);
  }
});

t.test('a mistake of one look is nobody’s business', async (t) => {
  const { path, log, watcher } = await oneFile(t, 'one');
  await watcher.load();
  await writeFile(path, 'bad, half');
  t.same(await watcher.look(), NOTHING);
  await writeFile(path, 'two');
  t.match(await watcher.look(), { switched: [{ source: 'it' }], refused: [] });
  t.same(log, ['it: one', 'it: two']);
});

t.test('a file that is being written is let finish', async (t) => {
  const path = join(await emptyDir(t), 'file');
  await writeFile(path, 'one');
  const { source, loads } = textSource('it', [path]);
  const watcher = createWatcher([source], () => writeFile(path, 'two'));
  await watcher.load();
  await writeFile(path, 'tw');
  t.same(await watcher.look(), NOTHING);
  t.same(loads, ['one'], 'half of it was not even tried');
  t.match(await watcher.look(), { switched: [{ source: 'it' }] });
});

t.test('a file that is gone, or no file', async (t) => {
  const dir = await emptyDir(t);
  const secret = await mountedSecret(t, ['a']);
  await secret.update({ a: 'one' });
  const { source, log } = textSource('it', [secret.path('a')]);
  const watcher = createWatcher([source]);
  await watcher.load();
  await secret.remove();
  await watcher.look();
  const [gone] = (await watcher.look()).refused;
  t.match(gone, { source: 'it', problems: [/cannot be read \(ENOENT\)/] });
  t.notOk(gone?.digest);
  await secret.update({ a: 'two' });
  await watcher.look();
  t.same(log, ['it: one', 'it: two']);

  const directory = createWatcher([textSource('dir', [dir]).source]);
  t.match((await directory.load()).refused, [{ problems: [/is not a file|EISDIR/] }]);
});

t.test('a mounted secret, whose link moves', async (t) => {
  const secret = await mountedSecret(t, ['cert', 'key']);
  await secret.update({ cert: 'c1', key: 'k1' });
  const { source, loads } = textSource('pair', [secret.path('cert'), secret.path('key')]);
  const watcher = createWatcher([source]);
  await watcher.load();
  for (let version = 2; version < 12; version += 1) {
    const look = watcher.look();
    await secret.update({ cert: `c${version}`, key: `k${version}` });
    await look;
    await watcher.look();
  }
  t.equal(loads.at(-1), 'c11|k11');
  t.same(
    loads.filter((text) => !/^c(\d+)\|k\1$/.test(text)),
    [],
    'never the certificate of one version with the key of another',
  );
});

t.test('sources that change together switch together', async (t) => {
  const dir = await emptyDir(t);
  const paths = ['a', 'b'].map((name) => join(dir, name));
  for (const path of paths) await writeFile(path, 'one');
  const log: string[] = [];
  const order: string[] = [];
  const sources = paths.map((path, index) => textSource(`s${index}`, [path], log).source);
  const slow: WatchedSource = {
    name: 'slow',
    paths,
    load: async () => {
      await new Promise((resolve) => setImmediate(resolve));
      order.push(`loaded after ${log.length}`);
      return { apply: () => log.push('slow'), ends: [], events: () => [] };
    },
  };
  const watcher = createWatcher([...sources, slow]);
  await watcher.load();
  for (const path of paths) await writeFile(path, 'two');
  await watcher.look();
  t.same(log.slice(3), ['s0: two', 's1: two', 'slow']);
  t.same(order, ['loaded after 0', 'loaded after 3'], 'nothing is in force before everything is loaded');
});

t.test('at a start every problem is told', async (t) => {
  const dir = await emptyDir(t);
  const path = join(dir, 'file');
  await writeFile(path, 'bad');
  const missing = join(dir, 'missing');
  const many: WatchedSource = {
    name: 'many',
    paths: [path],
    load: () => Promise.reject(Object.assign(new Error('in short'), { problems: ['first', 'second'] })),
  };
  const watcher = createWatcher([textSource('bad', [path]).source, textSource('gone', [missing]).source, many]);
  const { switched, refused } = await watcher.load();
  t.same(switched, []);
  t.match(refused, [
    { source: 'bad', problems: ['it is bad'] },
    { source: 'gone', problems: [/ENOENT/] },
    { source: 'many', problems: ['first', 'second'] },
  ]);
});
