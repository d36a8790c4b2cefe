import t from 'tap';

import { attachData } from '../../src/policy/evaluator/wasm-artifact.ts';
import { createWasmEngine } from '../../src/policy/evaluator/wasm-pool.ts';
import { compiler } from './real-opa.ts';

const PROMOTION = 'castellan.promotion';
const FAILED = { code: 'POLICY_EVALUATION_FAILED' };
const UNAVAILABLE = { code: 'POLICY_UNAVAILABLE' };

async function artifact(body: string, data: Record<string, unknown> = {}): Promise<Buffer> {
  const modules = { 'p.rego': `package castellan.promotion\n${body}` };
  return (await compiler.compile({ modules, data })).wasm;
}

const quick = await artifact('deny contains {"code": "NO", "reason": "no"} if not input.yes');
const endless = await artifact(`deny contains {"code": "NO", "reason": "no"} if {
  some a in numbers.range(1, 20000)
  some b in numbers.range(1, 20000)
  a * b == -1
}`);

/** Runs as long as its input says. */
const patient = await artifact(`deny contains {"code": "NO", "reason": "no"} if {
  count([1 | some i in numbers.range(1, input.n); i < 0]) > 0
}`);

t.test('has, packages, load, unload', async (t) => {
  const engine = engineFor(t);
  t.equal(engine.has('h'), false);
  t.strictSame(engine.packages('h'), []);
  await t.rejects(engine.evaluate('h', PROMOTION, {}), UNAVAILABLE, 'not loaded');
  await engine.load('h', quick);
  t.equal(engine.has('h'), true);
  t.strictSame(engine.packages('h'), [PROMOTION]);
  t.equal(await engine.evaluate('h', 'castellan.runtime', {}), undefined, 'no such package');
  t.strictSame(await engine.evaluate('h', PROMOTION, { yes: true }), {
    deny: [],
    requireApproval: [],
    obligations: [],
  });
  t.match(await engine.evaluate('h', PROMOTION, {}), { deny: [{ code: 'NO', reason: 'no' }] });
  engine.unload('h');
  await t.rejects(engine.evaluate('h', PROMOTION, {}), UNAVAILABLE);
  await engine.load('h', quick);
  t.match(await engine.evaluate('h', PROMOTION, {}), { deny: [{ code: 'NO' }] }, 'again after an unload');
});

t.test('an endless rule is cut, and neighbours go on', async (t) => {
  const engine = engineFor(t, { workers: 2, limitMs: 1000 });
  await engine.load('quick', quick);
  await engine.load('endless', endless);
  let isCut = false;
  const cut = t.rejects(engine.evaluate('endless', PROMOTION, {}), FAILED).then(() => {
    isCut = true;
  });
  for (let n = 0; n < 20; n += 1) await engine.evaluate('quick', PROMOTION, {});
  t.equal(isCut, false, 'the neighbour did not wait for it');
  await cut;
  t.equal(engine.stats().stopped, 1);
  for (let n = 0; n < 4; n += 1) t.match(await engine.evaluate('quick', PROMOTION, {}), { deny: [{ code: 'NO' }] });
});

t.test('a policy stopped again and again is refused without costing a worker', async (t) => {
  const engine = engineFor(t, { workers: 1, limitMs: 50 });
  await engine.load('quick', quick);
  await engine.load('endless', endless);
  for (let n = 0; n < 3; n += 1) await t.rejects(engine.evaluate('endless', PROMOTION, {}), FAILED);
  for (let n = 0; n < 2; n += 1)
    await t.rejects(engine.evaluate('endless', PROMOTION, {}), UNAVAILABLE, 'not asked, so no answer to this input');
  t.equal(engine.stats().stopped, 3);
  t.match(
    await engine.evaluate('quick', PROMOTION, {}),
    { deny: [{ code: 'NO' }] },
    'the only worker was replaced and reloaded',
  );
});

t.test('a workspace whose inputs run too long is refused; the same policy answers the others', async (t) => {
  const engine = engineFor(t, { workers: 1, limitMs: 300 });
  await engine.load('h', patient);
  for (let n = 0; n < 3; n += 1) {
    await t.rejects(engine.evaluate('h', PROMOTION, { n: 50_000_000 }, { workspaceId: 'a' }), FAILED);
  }
  await t.rejects(
    engine.evaluate('h', PROMOTION, { n: 1 }, { workspaceId: 'a' }),
    UNAVAILABLE,
    'an innocent neighbour',
  );
  t.match(await engine.evaluate('h', PROMOTION, { n: 1 }, { workspaceId: 'b' }), { deny: [] });
  t.equal(engine.stats().stopped, 3);
});

t.test('one who asks much waits for himself', async (t) => {
  const engine = engineFor(t, { workers: 2 });
  await engine.load('slow', patient);
  await engine.load('quick', quick);
  let done = 0;
  const flood = Array.from({ length: 40 }, () =>
    engine.evaluate('slow', PROMOTION, { n: 5000 }, { workspaceId: 'a' }).then(() => {
      done += 1;
    }),
  );
  await engine.evaluate('quick', PROMOTION, {}, { workspaceId: 'b' });
  t.ok(done <= 4, `${done} of 40 were served before`);
  await Promise.all(flood);
});

t.test('what is asked with one that is stopped is answered', async (t) => {
  const engine = engineFor(t, { workers: 1, limitMs: 300 });
  await engine.load('h', patient);
  const sizes = [1, 2, 50_000_000, 3, 50_000_000, 4];
  const answers = await Promise.allSettled(
    sizes.map((n) => engine.evaluate('h', PROMOTION, { n }, { workspaceId: 'a' })),
  );
  for (const [i, answer] of answers.entries()) {
    if (sizes[i] === 50_000_000) t.match(answer, { status: 'rejected', reason: FAILED });
    else t.match(answer, { status: 'fulfilled', value: { deny: [] } });
  }
  t.equal(engine.stats().stopped, 2, 'each of the two once');
});

t.test('many asked at once are answered in turns', async (t) => {
  const engine = engineFor(t, { workers: 1 });
  await engine.load('h', patient);
  const many = Array.from({ length: 40 }, (_, n) => engine.evaluate('h', PROMOTION, { n }, { workspaceId: 'a' }));
  t.equal((await Promise.all(many)).length, 40, 'in more turns than one');
  t.equal(engine.stats().evaluations, 40);
});

t.test('the time an evaluation waits is not its own', async (t) => {
  const engine = engineFor(t, { workers: 1, limitMs: 1000 });
  await engine.load('h', patient);
  await engine.load('endless', endless);
  const stopped = t.rejects(engine.evaluate('endless', PROMOTION, {}, { workspaceId: 'a' }), FAILED);
  const again = t.rejects(engine.evaluate('endless', PROMOTION, {}, { workspaceId: 'a' }), FAILED);
  const waiting = engine.evaluate('h', PROMOTION, { n: 1 }, { workspaceId: 'a' });
  t.match(await waiting, { deny: [] }, 'two limits long it waited');
  await Promise.all([stopped, again]);
});

t.test('what is no answer is an error', async (t) => {
  const engine = engineFor(t);
  const bodies: Record<string, string> = {
    'a code in small letters': 'deny contains {"code": "no", "reason": "no"} if true',
    'no reason': 'deny contains {"code": "NO"} if true',
    'a reason that is too long':
      'deny contains {"code": "NO", "reason": concat("", [x | some n in numbers.range(1, 2001); x := "x"])} if true',
    'a text': 'deny contains "NO" if true',
    'more than 1 MiB':
      'deny contains {"code": "NO", "reason": format_int(n, 10), "pad": "0123456789012345678901234567890123456789"} if some n in numbers.range(1, 20000)',
    'a conflict': 'deny contains {"code": "NO", "reason": "no"} if true\nx := 1 if true\nx := 2 if true',
    'memory without end':
      'deny contains {"code": "NO", "reason": "no"} if { x := [y | some a in numbers.range(1, 5000); some b in numbers.range(1, 5000); y := [a, b, input]]; count(x) == 0 }',
    'require_approval as an object': 'deny contains 1 if false\nrequire_approval := {"a": 1}',
    'obligations as a text': 'deny contains 1 if false\nobligations := "log"',
  };
  for (const [why, body] of Object.entries(bodies)) {
    await engine.load(why, await artifact(body));
    await t.rejects(engine.evaluate(why, PROMOTION, {}), FAILED, why);
  }
  await engine.load('quick', quick);
  t.match(await engine.evaluate('quick', PROMOTION, {}), { deny: [{ code: 'NO' }] }, 'and no worker is worse for it');
});

t.test('a failed evaluation leaves the next one of the same policy alone', async (t) => {
  const engine = engineFor(t, { workers: 1 });
  await engine.load(
    'h',
    await artifact(
      'deny contains {"code": "NO", "reason": "no"} if input.no\nx := 1 if input.bad\nx := 2 if input.bad',
    ),
  );
  await t.rejects(engine.evaluate('h', PROMOTION, { bad: true }), FAILED);
  t.match(await engine.evaluate('h', PROMOTION, { no: true }), { deny: [{ code: 'NO' }] });
  t.match(await engine.evaluate('h', PROMOTION, {}), { deny: [] });
});

t.test('the answer is a set in canonical order, with everything the policy says', async (t) => {
  const engine = engineFor(t);
  const body = `deny contains {"code": "B", "reason": "b", "at": n} if some n in [3, 1, 2]
deny contains {"code": "A", "reason": "a"} if true
require_approval contains {"from": "owner"} if true
obligations contains x if some x in ["log", "audit"]`;
  await engine.load('h', await artifact(body));
  t.strictSame(await engine.evaluate('h', PROMOTION, {}), {
    deny: [
      { at: 1, code: 'B', reason: 'b' },
      { at: 2, code: 'B', reason: 'b' },
      { at: 3, code: 'B', reason: 'b' },
      { code: 'A', reason: 'a' },
    ],
    requireApproval: [{ from: 'owner' }],
    obligations: ['audit', 'log'],
  });
});

t.test('the data is in the artifact', async (t) => {
  const engine = engineFor(t);
  const body = 'deny contains {"code": "NO", "reason": data.why} if not input.yes';
  await engine.load('h', await artifact(body, { why: 'wäil 😀' }));
  t.match(await engine.evaluate('h', PROMOTION, {}), { deny: [{ reason: 'wäil 😀' }] });
});

t.test('what is no artifact is refused', async (t) => {
  const engine = engineFor(t);
  const other = Buffer.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
  await t.rejects(engine.load('h', Buffer.from('nothing')), FAILED);
  await t.rejects(engine.load('h', other), FAILED, 'a module without data');
  await t.rejects(engine.load('h', attachData(other, Buffer.from('{}'))), FAILED, 'not the wasm of OPA');
  await t.rejects(engine.load('h', attachData(quick, Buffer.from('{}'))), FAILED, 'two sections of data');
  t.equal(engine.has('h'), false);
});

t.test('a full queue is 503, and so is a closed engine', async (t) => {
  const engine = engineFor(t, { workers: 1, maxQueued: 3, limitMs: 5000 });
  await engine.load('h', quick);
  const asked = await Promise.allSettled(Array.from({ length: 10 }, () => engine.evaluate('h', PROMOTION, {})));
  const refused = asked.filter(({ status }) => status === 'rejected');
  t.ok(refused.length > 0 && refused.length < 10);
  for (const one of refused) t.match(one, { reason: UNAVAILABLE });
  await engine.close();
  await t.rejects(engine.evaluate('h', PROMOTION, {}), UNAVAILABLE);
  await t.rejects(engine.load('x', quick), UNAVAILABLE);
});

t.test('a key that fills its part of the queue leaves the rest to others', async (t) => {
  const engine = engineFor(t, { workers: 1, maxQueued: 8 });
  await engine.load('h', quick);
  const ask = (workspaceId: string) => engine.evaluate('h', PROMOTION, {}, { workspaceId });
  const asked = Promise.allSettled(Array.from({ length: 10 }, () => ask('a')));
  t.match(await ask('b'), { deny: [{ code: 'NO' }] });
  const refused = (await asked).filter(({ status }) => status === 'rejected');
  t.equal(refused.length, 8, 'two wait');
  for (const one of refused) t.match(one, { reason: UNAVAILABLE });
});

t.test('closing answers those who wait', async (t) => {
  const engine = createWasmEngine({ workers: 1, limitMs: 60_000 });
  await engine.load('endless', endless);
  const running = t.rejects(engine.evaluate('endless', PROMOTION, {}), UNAVAILABLE);
  const waiting = t.rejects(engine.evaluate('endless', PROMOTION, {}), UNAVAILABLE);
  await engine.close();
  await Promise.all([running, waiting]);
  t.equal(engine.stats().workers, 0);
});

t.test('nobody waits: an aborted question is not asked', async (t) => {
  const engine = engineFor(t, { workers: 1 });
  await engine.load('h', quick);
  const before = engine.stats().evaluations;
  await t.rejects(engine.evaluate('h', PROMOTION, {}, { signal: AbortSignal.abort() }), UNAVAILABLE);
  t.equal(engine.stats().evaluations, before);
});

t.test('the policies longest unused are pushed out', async (t) => {
  const engine = engineFor(t, { workers: 1, maxBytes: 2_000_000 });
  for (let n = 0; n < 8; n += 1) {
    await engine.load(`h${n}`, quick);
    if (n > 0) await engine.evaluate('h0', PROMOTION, {});
  }
  t.equal(engine.has('h0'), true, 'in use');
  t.equal(engine.has('h1'), false);
  t.ok(engine.stats().loaded < 8 && engine.stats().bytes <= 2_000_000);
  await engine.load('h1', quick);
  t.match(await engine.evaluate('h1', PROMOTION, {}), { deny: [{ code: 'NO' }] });
});

t.test('twenty at once, two hundred times', async (t) => {
  const engine = engineFor(t);
  await engine.load('h', quick);
  const answers = await Promise.all(
    Array.from(
      { length: 200 },
      async (_, n) => (await engine.evaluate('h', PROMOTION, { yes: n % 2 === 0 }))?.deny.length,
    ),
  );
  t.ok(
    answers.every((count, n) => count === n % 2),
    'each its own answer',
  );
});

function engineFor(
  t: { teardown(clean: () => Promise<void>): void },
  options?: Parameters<typeof createWasmEngine>[0],
) {
  // A busy machine must not look like a slow policy.
  const engine = createWasmEngine({ limitMs: 5000, ...options });
  t.teardown(() => engine.close());
  return engine;
}
