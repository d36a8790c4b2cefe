import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';

import { createPolicyCompiler } from '../../src/policy/compiler.ts';
import { PolicyCompilerUnavailable, PolicyInvalid } from '../../src/policy/errors.ts';
import { findOpaBinary } from '../../src/policy/opa-binary.ts';
import { compiler } from './real-opa.ts';

// A directory of its own, so that what is left behind is ours.
process.env['TMPDIR'] = await mkdtemp(join(tmpdir(), 'castellan-compiler-test-'));
t.teardown(() => rm(tmpdir(), { recursive: true }));

const HEAD = 'package castellan.promotion\n';
const DENY = 'deny contains {"code": "NO", "reason": "no"} if not input.yes\n';

async function problemsOf(modules: Record<string, string>, data: Record<string, unknown> = {}) {
  try {
    await compiler.compile({ modules, data });
    return [];
  } catch (error) {
    if (!(error instanceof PolicyInvalid)) throw error;
    t.same(error.members['errors'], error.problems);
    return error.problems;
  }
}

t.test('what an artifact is', async (t) => {
  const modules = {
    'a/promotion.rego': HEAD + DENY,
    'runtime.rego': `package castellan.runtime\n${DENY}`,
    'lib.rego': 'package lib.roles\nadmins := {"ada"}\n',
  };
  const compiled = await compiler.compile({ modules, data: { lib: { limits: { a: 1 } } } });
  t.strictSame(compiled.packages, ['castellan.promotion', 'castellan.runtime']);
  t.strictSame(compiled.entrypoints, ['castellan/promotion', 'castellan/runtime']);
  t.match(compiled.compilerVersion, /^opa \d+\.\d+\.\d+/);
  t.match(compiled.wasmSha256, /^sha256:[0-9a-f]{64}$/);
  const again = await compiler.compile({ modules, data: { lib: { limits: { a: 1 } } } });
  t.ok(again.wasm.equals(compiled.wasm), 'the same policy, the same bytes');
});

t.test('`import rego.v1` is optional, Rego v1 is not', async (t) => {
  t.strictSame(await problemsOf({ 'a.rego': `${HEAD}import rego.v1\n${DENY}` }), []);
  t.match(await problemsOf({ 'a.rego': `${HEAD}deny[x] { x := {"code": "NO"} }` }), [{ file: 'a.rego', row: 2 }]);
});

t.test('file, row and column of what is wrong', async (t) => {
  const broken = `${HEAD}${DENY}x := if {\n`;
  t.match(await problemsOf({ 'ok.rego': 'package ok\n', 'sub dir/b.rego': broken }), [
    { file: 'sub dir/b.rego', row: 3, column: Number, detail: String },
  ]);
  t.match(await problemsOf({ 'a.rego': `${HEAD}${DENY}x if nowhere(1)\n` }), [
    { file: 'a.rego', row: 3, column: 6, detail: 'undefined function nowhere' },
  ]);
  t.match(await problemsOf({ 'a.rego': `${HEAD}${DENY}x if { y == 1 }\n` }), [{ file: 'a.rego', row: 3 }], 'unsafe');
  t.match(await problemsOf({ 'a.rego': '' }), [{ detail: String }], 'half a file');
});

t.test('no network, no clock, no randomness, nothing the host lacks', async (t) => {
  const calls = [
    'http.send({"method": "get", "url": "http://localhost"})',
    'net.lookup_ip_addr("localhost")',
    'opa.runtime()',
    'rand.intn("a", 5)',
    'uuid.rfc4122("a")',
    'time.now_ns()',
    'trace("x")',
    'io.jwt.decode_verify("a", {})',
    'regex.replace("a", "b", "c")',
    'yaml.unmarshal("a")',
  ];
  for (const call of calls) {
    const problems = await problemsOf({ 'a.rego': `${HEAD}${DENY}x := ${call}\n` });
    t.match(
      problems,
      [{ file: 'a.rego', row: 3, detail: `undefined function ${call.slice(0, call.indexOf('('))}` }],
      call,
    );
  }
});

t.test('packages', async (t) => {
  const cases: [string, Record<string, string>, string][] = [
    [
      'promotion is required',
      { 'a.rego': `package castellan.runtime\n${DENY}` },
      'the package castellan.promotion is missing',
    ],
    ['promotion without deny', { 'a.rego': `${HEAD}allow := true\n` }, 'castellan.promotion does not define deny'],
    [
      'runtime without deny',
      { 'a.rego': HEAD + DENY, 'b.rego': 'package castellan.runtime\nx := 1\n' },
      'castellan.runtime does not define deny',
    ],
    [
      'any castellan package without deny',
      { 'a.rego': HEAD + DENY, 'b.rego': 'package castellan.other\nx := 1\n' },
      'castellan.other does not define deny',
    ],
    [
      'rules in castellan itself',
      { 'a.rego': HEAD + DENY, 'b.rego': 'package castellan\ninteraction.deny contains 1 if false\n' },
      'rules belong in castellan.promotion, castellan.runtime or castellan.interaction',
    ],
  ];
  for (const [why, modules, detail] of cases) t.match(await problemsOf(modules), [{ detail }], why);
  t.match(
    await problemsOf({ 'a.rego': `package castellan["promotion"]\n${DENY}` }),
    [],
    'another spelling of the name',
  );
  t.strictSame(await problemsOf({ 'a.rego': HEAD, 'b.rego': HEAD + DENY }), [], 'deny in one of two files');
});

t.test('deny is a partial set and nothing else', async (t) => {
  const others = [
    'deny := {{"code": "NO", "reason": "no"}}',
    'deny := set() if input.yes',
    'default deny := set()',
    'deny(x) := {x}',
    'deny if true',
    'deny[x] := 1 if some x in ["a"]',
    'deny.all contains 1 if true',
    'deny := [] if true else := [1]',
  ];
  for (const rule of others) {
    const problems = await problemsOf({ 'a.rego': `${HEAD}${rule}\n` });
    t.match(problems, [{ file: 'a.rego', detail: /deny/ }], rule);
  }
});

t.test('data at the path of a package', async (t) => {
  const modules = { 'a.rego': HEAD + DENY, 'b.rego': 'package lib.x\ny := 1\n' };
  for (const data of [
    { castellan: { promotion: { deny: [] } } },
    { castellan: 'x' },
    { lib: { x: { z: 1 } } },
    { lib: [] },
  ]) {
    t.match(await problemsOf(modules, data), [{ detail: /the data has a value at the path of the package/ }]);
  }
  t.strictSame(await problemsOf(modules, { castellan: { budget: 1 }, lib: { z: 1 } }), []);
});

t.test('a policy that takes too long is its own fault, and the next one is compiled', async (t) => {
  const directory = await temporary(t);
  const slow = join(directory, 'opa');
  // The real OPA, but each check first waits.
  await writeFile(slow, `#!/bin/sh\n[ "$1" = check ] && exec sleep 600\nexec ${await findOpaBinary()} "$@"\n`);
  await chmod(slow, 0o700);
  const before = await leftovers();
  const impatient = createPolicyCompiler({ configured: slow, timeoutMs: 400 });
  const bundle = { modules: { 'a.rego': HEAD + DENY }, data: {} };
  await t.rejects(impatient.compile(bundle), {
    code: 'POLICY_INVALID',
    message: 'the policy took too long to compile',
  });
  t.strictSame(await leftovers(), before, 'nothing is left behind');
  t.ok((await compiler.compile(bundle)).wasm.length > 0);
});

t.test('without OPA there is no compiler', async (t) => {
  const directory = await temporary(t);
  const wrong = join(directory, 'opa');
  await writeFile(wrong, '#!/bin/sh\necho hello\n');
  await chmod(wrong, 0o700);
  for (const configured of [join(directory, 'none'), 'opa', wrong]) {
    const bundle = { modules: { 'a.rego': HEAD + DENY }, data: {} };
    await t.rejects(createPolicyCompiler({ configured }).compile(bundle), PolicyCompilerUnavailable, configured);
  }
});

t.test('too many at once', async (t) => {
  const bundle = { modules: { 'a.rego': HEAD + DENY }, data: {} };
  const results = await Promise.allSettled(Array.from({ length: 20 }, () => compiler.compile(bundle)));
  const refused = results.filter((result) => result.status === 'rejected');
  t.equal(refused.length, 4);
  t.match(refused[0], { reason: { code: 'POLICY_COMPILER_UNAVAILABLE' } });
});

t.test('tests of a policy', async (t) => {
  const modules = { 'a.rego': HEAD + DENY };
  const tests = {
    'a_test.rego':
      'package x_test\nimport data.castellan.promotion\ntest_a if count(promotion.deny) == 0 with input.yes as true\ntest_b if false\n',
  };
  t.strictSame(await compiler.test({ modules, tests, data: {} }), [
    { package: 'data.x_test', name: 'test_a', passed: true },
    { package: 'data.x_test', name: 'test_b', passed: false },
  ]);
  t.strictSame(await compiler.test({ modules, tests: {}, data: {} }), []);
  const network = { 'a_test.rego': 'package x_test\ntest_a if http.send({})\n' };
  await t.rejects(compiler.test({ modules, tests: network, data: {} }), { code: 'POLICY_INVALID' });
});

async function temporary(t: { teardown(clean: () => Promise<void>): void }): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'castellan-test-'));
  t.teardown(() => rm(directory, { recursive: true }));
  return directory;
}

async function leftovers(): Promise<string[]> {
  return (await readdir(tmpdir())).filter((name) => name.startsWith('castellan-policy-')).sort();
}
