import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import t from 'tap';

import { parseBundle } from '../../src/policy/bundle.ts';
import { PolicyInvalid } from '../../src/policy/errors.ts';
import { findOpaBinary } from '../../src/policy/opa-binary.ts';
import { type Entry, tar, tarball } from './tarballs.ts';

const REGO = 'package castellan.promotion\n';

async function problemsOf(bundle: unknown) {
  try {
    await parseBundle(bundle);
    return undefined;
  } catch (error) {
    if (!(error instanceof PolicyInvalid)) throw error;
    return error.problems;
  }
}

t.test('modules: paths are normal, tests are apart', async (t) => {
  t.strictSame(
    await parseBundle({
      modules: { '/a/promotion.rego': REGO, './b.rego': 'package b', 'a/promotion_test.rego': 'x' },
      data: { a: [1] },
    }),
    {
      modules: { 'a/promotion.rego': REGO, 'b.rego': 'package b' },
      tests: { 'a/promotion_test.rego': 'x' },
      data: { a: [1] },
    },
  );
});

t.test('modules: what is refused', async (t) => {
  const proto: unknown = JSON.parse('{"a": {"__proto__": {"castellan": 1}}}');
  const cases: [string, unknown][] = [
    ['no bundle', undefined],
    ['a list', []],
    ['nothing in it', {}],
    ['both forms', { modules: {}, data: {}, tarball: '' }],
    ['an unknown member', { modules: { 'a.rego': REGO }, data: {}, more: 1 }],
    ['no module', { modules: {}, data: {} }],
    ['a test only', { modules: { 'a_test.rego': REGO }, data: {} }],
    ['modules as a list', { modules: [REGO], data: {} }],
    ['a module as an object', { modules: { 'a.rego': {} }, data: {} }],
    ['not .rego', { modules: { 'a.txt': REGO }, data: {} }],
    ['climbing', { modules: { '../a.rego': REGO }, data: {} }],
    ['climbing inside', { modules: { 'x/../a.rego': REGO }, data: {} }],
    ['a backslash', { modules: { 'x\\a.rego': REGO }, data: {} }],
    ['an empty name', { modules: { 'x//a.rego': REGO }, data: {} }],
    ['a line break', { modules: { 'a\n.rego': REGO }, data: {} }],
    ['two spellings of a path', { modules: { 'a.rego': REGO, '/a.rego': REGO }, data: {} }],
    ['a file that is a directory of another', { modules: { 'a.rego': REGO, 'a.rego/b.rego': REGO }, data: {} }],
    ['a directory of a test', { modules: { 'a.rego': REGO, 'a.rego/b/c_test.rego': REGO }, data: {} }],
    ['a directory where the data is put', { modules: { 'data.json/b.rego': REGO }, data: {} }],
    ['a byte order mark', { modules: { 'a.rego': `\ufeff${REGO}` }, data: {} }],
    ['U+0000', { modules: { 'a.rego': `${REGO}\0` }, data: {} }],
    ['a lone surrogate', { modules: { 'a.rego': `${REGO}# \ud800` }, data: {} }],
    ['5 MiB', { modules: { 'a.rego': `${REGO}# ${'x'.repeat(5 * 2 ** 20)}` }, data: {} }],
    ['5 MiB of data', { modules: { 'a.rego': REGO }, data: { x: 'x'.repeat(5 * 2 ** 20) } }],
    [
      '1,001 files',
      { modules: Object.fromEntries(Array.from({ length: 1001 }, (_, n) => [`${n}.rego`, REGO])), data: {} },
    ],
    ['data as a list', { modules: { 'a.rego': REGO }, data: [] }],
    ['data as a text', { modules: { 'a.rego': REGO }, data: 'x' }],
    ['2^53', { modules: { 'a.rego': REGO }, data: { a: [{ n: 2 ** 53 }] } }],
    ['1e300', { modules: { 'a.rego': REGO }, data: { n: 1e300 } }],
    ['-0', { modules: { 'a.rego': REGO }, data: { n: -0 } }],
    ['NaN', { modules: { 'a.rego': REGO }, data: { n: Number.NaN } }],
    ['__proto__', { modules: { 'a.rego': REGO }, data: proto }],
    ['a lone surrogate in data', { modules: { 'a.rego': REGO }, data: { x: '\udfff' } }],
    ['data too deep', { modules: { 'a.rego': REGO }, data: { x: JSON.parse('['.repeat(200) + ']'.repeat(200)) } }],
  ];
  for (const [why, bundle] of cases) t.ok((await problemsOf(bundle))?.length, why);
  t.strictSame(await problemsOf({ modules: { 'a.rego': REGO }, data: { 'x/y': { n: 2 ** 60 } } }), [
    { pointer: '/bundle/data', detail: 'data: an integer beyond 2^53-1 is not exact' },
  ]);
});

t.test('a tarball: data at the path of its directory, in JSON and YAML', async (t) => {
  const entries: Entry[] = [
    { name: './', type: 'directory' },
    { name: '/castellan/promotion.rego', content: REGO },
    { name: 'castellan/promotion_test.rego', content: 'package x_test' },
    { name: './data.json', content: '{"castellan": {"a": 1}, "top": [1.5]}' },
    { name: 'castellan/budget/data.yaml', content: 'monthlyUsd: 1000\nnested:\n  on: "yes"\n' },
    { name: 'castellan/data.json', content: '{"b": {"c": null}}' },
    { name: '.manifest', content: '{"roots": [""]}' },
    { name: 'policy.wasm', content: Buffer.from([0]) },
    { name: '.signatures.json', content: '{}' },
    { name: 'notes.txt', content: 'hello' },
  ];
  t.strictSame(await parseBundle({ tarball: await tarball(entries) }), {
    modules: { 'castellan/promotion.rego': REGO },
    tests: { 'castellan/promotion_test.rego': 'package x_test' },
    data: { castellan: { a: 1, b: { c: null }, budget: { monthlyUsd: 1000, nested: { on: 'yes' } } }, top: [1.5] },
  });
});

t.test('a tarball: YAML of many members', async (t) => {
  const entries: Entry[] = [
    { name: 'a.rego', content: REGO },
    { name: 'data.yaml', content: members(7000) },
  ];
  const { data } = await parseBundle({ tarball: await tarball(entries) });
  t.equal(Object.keys(data).length, 7000);
  t.equal(data['k6999'], 1);
  const twice: Entry[] = [
    { name: 'a.rego', content: REGO },
    { name: 'data.yaml', content: `${members(7000)}k0: 2\n` },
  ];
  t.strictSame(await problemsOf({ tarball: await tarball(twice) }), [
    { file: 'data.yaml', detail: 'a second member named "k0"' },
  ]);
  const large: Entry[] = [
    { name: 'a.rego', content: REGO },
    { name: 'data.yaml', content: members(60_000) },
  ];
  t.strictSame(await problemsOf({ tarball: await tarball(large) }), [
    { file: 'data.yaml', detail: 'a YAML file is larger than 64 KiB; a data.json may be more' },
  ]);
});

t.test('a bundle that OPA built is the same policy as its sources', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'castellan-bundle-test-'));
  t.teardown(() => rm(directory, { recursive: true }));
  await writeFile(join(directory, 'p.rego'), `${REGO}deny contains {"code": "A", "reason": "a"} if false\n`);
  await writeFile(join(directory, 'data.json'), '{"a": {"b": 1}}');
  const args = ['build', '--v1-compatible', '--target', 'wasm', '--entrypoint', 'castellan/promotion', '.'];
  await promisify(execFile)(await findOpaBinary(), args, { cwd: directory });
  const built = await readFile(join(directory, 'bundle.tar.gz'));
  const { modules, data } = await parseBundle({ tarball: built.toString('base64') });
  t.strictSame(Object.keys(modules), ['p.rego']);
  t.strictSame(data, { a: { b: 1 } });
});

t.test('a tarball: what is refused', async (t) => {
  const policy: Entry = { name: 'a.rego', content: REGO };
  const many = (count: number, entry: (n: number) => Entry) => [
    policy,
    ...Array.from({ length: count }, (_, n) => entry(n)),
  ];
  const entries: [string, Entry[]][] = [
    ['nothing in it', []],
    ['climbing', [policy, { name: '../../etc/passwd', content: 'x' }]],
    ['climbing inside', [policy, { name: 'a/../../b.rego', content: REGO }]],
    ['a symbolic link', [policy, { name: 'b.rego', type: 'symlink', linkname: '/etc/passwd' }]],
    ['a hard link', [policy, { name: 'b.rego', type: 'link', linkname: 'a.rego' }]],
    ['a device', [policy, { name: 'b.rego', type: 'character-device' }]],
    ['a pipe', [policy, { name: 'b.rego', type: 'fifo' }]],
    ['the same path twice', [policy, policy]],
    ['two spellings of a path', [policy, { ...policy, name: './a.rego' }]],
    ['1,001 files', many(1000, (n) => ({ name: `${n}.txt` }))],
    ['directories without end', many(4000, (n) => ({ name: `d${n}/`, type: 'directory' }))],
    [
      '5 MiB',
      [policy, { name: 'b.txt', content: Buffer.from(Array.from({ length: 5 * 2 ** 20 }, (_, n) => (n * n) % 251)) }],
    ],
    ['1 MiB of nothing in 1 KiB', [policy, { name: 'b.txt', content: Buffer.alloc(2 ** 20) }]],
    ['a file that is a directory of another', [policy, { name: 'a.rego/b.rego', content: REGO }]],
    ['not UTF-8', [{ name: 'a.rego', content: Buffer.from([0xff, 0xfe]) }]],
    ['a byte order mark', [{ name: 'a.rego', content: `\ufeff${REGO}` }]],
    ['data with a byte order mark', [policy, { name: 'data.json', content: '\ufeff{}' }]],
    ['data with a member twice', [policy, { name: 'data.json', content: '{"a": 1, "a": 2}' }]],
    ['data that is a list', [policy, { name: 'data.json', content: '[]' }]],
    ['half of the data', [policy, { name: 'data.json', content: '{"a": ' }]],
    ['2^53+1', [policy, { name: 'data.json', content: '{"a": 9007199254740993}' }]],
    ['1e400', [policy, { name: 'data.json', content: '{"a": 1e400}' }]],
    ['__proto__', [policy, { name: 'data.json', content: '{"__proto__": {"a": 1}}' }]],
    ['a directory __proto__', [policy, { name: '__proto__/data.json', content: '{"a": 1}' }]],
    [
      'two values at one place',
      [policy, { name: 'data.json', content: '{"a": {"b": 1}}' }, { name: 'a/data.json', content: '{"b": 1}' }],
    ],
    [
      'data.json and data.yaml at odds',
      [policy, { name: 'data.json', content: '{"a": 1}' }, { name: 'data.yaml', content: 'a: 2' }],
    ],
    ['YAML: an alias', [policy, { name: 'data.yaml', content: 'a: &x [1]\nb: *x\n' }]],
    ['YAML: a tag', [policy, { name: 'data.yaml', content: 'a: !secret x\n' }]],
    ['YAML: a member twice', [policy, { name: 'data.yaml', content: 'a: 1\na: 2\n' }]],
    ['YAML: a member twice, quoted', [policy, { name: 'data.yaml', content: 'x:\n  - {a: 1, b: 2, "a": 3}\n' }]],
    ['YAML: 60,000 members', [policy, { name: 'data.yaml', content: members(60_000) }]],
    ['YAML: 300 KiB in pieces', many(5, (n) => ({ name: `d${n}/data.yaml`, content: members(7000) }))],
    ['YAML: a number as a name', [policy, { name: 'data.yaml', content: '1: x\n' }]],
    ['YAML: 2^53+1', [policy, { name: 'data.yaml', content: 'a: 9007199254740993\n' }]],
    ['YAML: no number', [policy, { name: 'data.yaml', content: 'a: .nan\n' }]],
    ['YAML: two documents', [policy, { name: 'data.yaml', content: 'a: 1\n---\nb: 2\n' }]],
  ];
  for (const [why, list] of entries) t.ok((await problemsOf({ tarball: await tarball(list) }))?.length, why);
  const good = await tar([policy]);
  const bytes: [string, string | Buffer][] = [
    ['not base64', 'ä'],
    ['base64 with a line break', `${gzipSync(good).toString('base64').slice(0, 8)}\n`],
    ['not gzip', good],
    ['not tar', gzipSync(Buffer.from('x'.repeat(2000)))],
    ['cut short', gzipSync(good).subarray(0, -20)],
    ['a tar cut short', gzipSync(good.subarray(0, 515))],
    ['nothing', Buffer.alloc(0)],
    ['256 MiB of zeros, zipped', gzipSync(Buffer.alloc(2 ** 28))],
  ];
  for (const [why, one] of bytes) {
    t.ok((await problemsOf({ tarball: typeof one === 'string' ? one : one.toString('base64') }))?.length, why);
  }
});

function members(count: number): string {
  return Array.from({ length: count }, (_, n) => `k${n}: 1\n`).join('');
}
