import { readFile } from 'node:fs/promises';
import t from 'tap';
import { sha256Digest } from '../../src/crypto/digest.ts';
import { createWasmEngine } from '../../src/policy/evaluator/wasm-pool.ts';
import { policyBytes } from '../../src/policy/policy-hash.ts';
import { readShippedBundle, SHIPPED } from '../../src/policy/shipped.ts';
import fc, { SEED } from '../support/fast-check.ts';
import { compiler, opaEval } from './real-opa.ts';

interface Case {
  why: string;
  codes: string[];
  roles?: unknown;
  mode?: string;
  more?: Record<string, unknown>;
  patch?: Record<string, unknown>;
  spec?: unknown;
}

const complete = {
  name: 'reader',
  model: { provider: 'openai', name: 'gpt', temperature: 0.5 },
  instructions: 'Read and summarize.',
  capabilities: ['search', 'summarize'],
  budget: { monthlyUsd: 100 },
};
const HASH = 'sha256:default';
const bundle = await readShippedBundle();
const wasm = await readFile(SHIPPED.wasm);
const engine = createWasmEngine({ limitMs: 5000 });
await engine.load(HASH, wasm);
t.teardown(() => engine.close());

function question(one: Partial<Case>): unknown {
  const spec = one.spec === undefined ? mergePatch(complete, one.patch ?? {}) : one.spec;
  const roles = one.roles === undefined ? ['kernel-admin'] : one.roles;
  const agent = { id: '01890000-0000-7000-8000-000000000001', mode: 'sandbox', spec, specHash: 'sha256:00' };
  return {
    actor: { id: 'ada', kind: 'human', roles },
    workspace: 'demo',
    agent,
    mode: one.mode ?? 'promote',
    ...one.more,
  };
}

/** RFC 7396. */
function mergePatch(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const merged: Record<string, unknown> = { ...Object(target) };
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete merged[name];
    else merged[name] = mergePatch(merged[name], value);
  }
  return merged;
}

t.test('what the shipped policy says', async (t) => {
  const cases: Case[] = JSON.parse(await readFile(new URL('default-policy-cases.json', import.meta.url), 'utf8'));
  for (const one of cases) {
    const outcome = await engine.evaluate(HASH, 'castellan.promotion', question(one));
    t.strictSame(
      outcome?.deny.map(({ code }) => code),
      one.codes,
      one.why,
    );
  }
});

t.test('the compiled form is the one of these sources', async (t) => {
  const built = await compiler.compile(bundle);
  const manifest: Record<string, unknown> = JSON.parse(await readFile(SHIPPED.manifest, 'utf8'));
  t.strictSame(manifest, {
    policySet: 'default',
    hash: sha256Digest(policyBytes('default', bundle)),
    wasmSha256: built.wasmSha256,
    compilerVersion: built.compilerVersion,
    packages: ['castellan.promotion'],
    entrypoints: ['castellan/promotion'],
  });
  t.ok(built.wasm.equals(wasm), 'run `npm run policies:build`');
});

t.test('the data is the one of the contract', async (t) => {
  t.strictSame(bundle.data, {
    castellan: {
      capabilities: ['search', 'summarize', 'read_files', 'write_files', 'call_api', 'run_tests'],
      temperature: { default: 0.7, 'kernel-admin': 1 },
      budget: { monthlyUsd: 1000 },
    },
  });
});

t.test('its own tests pass', async (t) => {
  const results = await compiler.test(bundle);
  t.ok(results.length >= 30);
  for (const { name, passed } of results) t.ok(passed, name);
});

t.test('a test of the policy can fail', async (t) => {
  const weaker = { ...bundle.modules };
  weaker['promotion.rego'] = String(weaker['promotion.rego']).replace('monthly >= 0', 'monthly >= -10');
  const results = await compiler.test({ ...bundle, modules: weaker });
  t.strictSame(
    results.filter(({ passed }) => !passed).map(({ name }) => name),
    ['test_hostile_budgets'],
  );
});

t.test('wasm and OPA agree on generated questions', async (t) => {
  t.comment(`TESTING_SEED=${SEED}`);
  const odd = fc.constantFrom<unknown>(
    null,
    true,
    0,
    -1,
    1.5,
    1e21,
    1e300,
    '',
    ' ',
    'search',
    [],
    ['search'],
    {},
    { a: 1 },
  );
  const either = (usual: fc.Arbitrary<unknown>) =>
    fc.oneof({ weight: 5, arbitrary: usual }, { weight: 1, arbitrary: odd });
  const spec = fc.record(
    {
      name: either(fc.constantFrom('n', '\t')),
      model: either(
        fc.record(
          {
            provider: either(fc.constant('p')),
            name: either(fc.constant('m')),
            temperature: either(fc.double({ min: -1, max: 3, noNaN: true }).map((n) => n + 0)),
          },
          { requiredKeys: [] },
        ),
      ),
      instructions: either(fc.constant('do')),
      capabilities: either(fc.array(either(fc.constantFrom('search', 'summarize', 'zäp', '😀')), { maxLength: 4 })),
      containment: either(
        fc.record(
          { externalCalls: either(fc.boolean()), persistentWrites: either(fc.boolean()) },
          { requiredKeys: [] },
        ),
      ),
      budget: either(fc.record({ monthlyUsd: either(fc.integer({ min: -5, max: 2000 })) }, { requiredKeys: [] })),
    },
    { requiredKeys: [] },
  );
  const inputs = fc.record(
    {
      actor: either(
        fc.record(
          { id: fc.constant('x'), roles: either(fc.subarray(['kernel-admin', 'kernel-approver', 'operator'])) },
          { requiredKeys: [] },
        ),
      ),
      mode: either(fc.constantFrom('promote', 'revalidate')),
      stage: either(fc.constantFrom('request', 'decide')),
      approval: either(fc.constant({ id: 'a' })),
      agent: either(fc.record({ mode: fc.constant('sandbox'), spec: either(spec) }, { requiredKeys: [] })),
    },
    { requiredKeys: [] },
  );
  const sample = fc.sample(fc.oneof(odd, inputs), { numRuns: 2000 });
  const query = '[deny | some one in input.all; deny := data.castellan.promotion.deny with input as one]';
  const wanted = await opaEval(query, { modules: bundle.modules, data: bundle.data, input: { all: sample } });
  t.ok(Array.isArray(wanted) && wanted.length === sample.length);
  let different = 0;
  for (const [index, input] of sample.entries()) {
    const outcome = await engine.evaluate(HASH, 'castellan.promotion', input);
    const expected: unknown = Object(wanted)[index];
    if (texts(outcome?.deny) === texts(expected)) continue;
    different += 1;
    if (different < 5) t.comment(encodeURI(JSON.stringify({ input, got: outcome?.deny, expected }).slice(0, 2000)));
  }
  t.equal(different, 0, 'answers that differ');
});

function texts(denials: unknown): string {
  const list: { code: string; reason: string }[] = Array.isArray(denials) ? denials : [];
  return list
    .map(({ code, reason }) => `${code} ${reason}`)
    .sort()
    .join('\n');
}
