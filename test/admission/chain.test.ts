import t from 'tap';

import { runChain } from '../../src/admission/chain.ts';
import type { AdmissionCheck, Verdict } from '../../src/admission/check.ts';
import { subject } from './subjects.ts';

const pass: AdmissionCheck = { name: 'passes', check: () => ({ outcome: 'pass' }) };
const skip: AdmissionCheck = { name: 'skips', check: () => ({ outcome: 'skip' }) };

function denies(name: string, ...codes: string[]): AdmissionCheck {
  const denials = codes.map((code) => ({ code, reason: 'no', severity: 'DENY' as const, check: name }));
  return { name, check: async () => ({ outcome: 'deny', denials }) };
}

/** A check that says what no type would let it say. */
function says(value: unknown): AdmissionCheck {
  return { name: 'malformed', check: () => JSON.parse(JSON.stringify({ value })).value };
}

t.test('every link is asked and every denial is reported, in order', async (t) => {
  const { outcomes, denies: all } = await runChain(
    [pass, denies('first', 'A', 'B'), skip, denies('second', 'C')],
    subject(),
  );
  t.same(
    outcomes.map((one) => `${one.check} ${one.outcome}`),
    ['passes pass', 'first deny', 'skips skip', 'second deny'],
  );
  t.same(
    all.map((one) => one.code),
    ['A', 'B', 'C'],
  );
});

t.test('a check that throws denies, and the others still run', async (t) => {
  const failures: string[] = [];
  const throws: AdmissionCheck = {
    name: 'throws',
    check: () => {
      throw new Error('secret detail');
    },
  };
  const rejects: AdmissionCheck = { name: 'rejects', check: () => Promise.reject(new Error('secret detail')) };
  const { outcomes, denies: all } = await runChain([throws, rejects, pass, denies('last', 'Z')], subject(), {
    onFailure: (check) => void failures.push(check),
  });
  t.same(
    outcomes.map((one) => one.outcome),
    ['deny', 'deny', 'pass', 'deny'],
  );
  t.match(all, [
    { code: 'INTERCEPTOR_ERROR', severity: 'DENY', check: 'throws' },
    { code: 'INTERCEPTOR_ERROR', severity: 'DENY', check: 'rejects' },
    { code: 'Z' },
  ]);
  t.notMatch(JSON.stringify(all), 'secret', 'a denial is shown to the caller, so it names no cause');
  t.same(failures, ['throws', 'rejects']);
});

t.test('a check that never answers denies when the chain has run out of time', async (t) => {
  let aborted = false;
  const hangs: AdmissionCheck = {
    name: 'hangs',
    check: (_subject, signal) => {
      signal.addEventListener('abort', () => {
        aborted = true;
      });
      return Promise.withResolvers<Verdict>().promise;
    },
  };
  const chain = [pass, hangs, denies('last', 'Z')];
  const { outcomes, denies: all, timedOut } = await runChain(chain, subject(), { timeoutMs: 20 });
  t.ok(timedOut, 'and it says that this is not the subject’s fault');
  t.notOk((await runChain([pass, denies('last', 'Z')], subject())).timedOut);
  t.same(
    outcomes.map((one) => one.outcome),
    ['pass', 'deny', 'deny'],
  );
  t.match(all, [{ code: 'INTERCEPTOR_ERROR', check: 'hangs', reason: 'the check took too long' }, { code: 'Z' }]);
  t.ok(aborted, 'the check was told to stop');
});

const malformed: { value: unknown; why: string }[] = [
  { value: undefined, why: 'no verdict at all' },
  { value: null, why: 'null' },
  { value: true, why: 'a truthy value is not a pass' },
  { value: 'pass', why: 'the word instead of the verdict' },
  { value: {}, why: 'no outcome' },
  { value: { outcome: 'allow' }, why: 'an outcome that does not exist' },
  { value: { outcome: 'deny' }, why: 'a denial without denials' },
  { value: { outcome: 'deny', denials: [] }, why: 'a denial that denies nothing' },
  { value: { outcome: 'deny', denials: [{ code: 'A' }] }, why: 'a denial that is not whole' },
  {
    value: { outcome: 'deny', denials: [{ code: '', reason: 'r', severity: 'DENY', check: 'c' }] },
    why: 'an empty code',
  },
  {
    value: { outcome: 'deny', denials: [{ code: 'A', reason: 'r', severity: 'WARN', check: 'c' }] },
    why: 'an unknown severity',
  },
];

for (const { value, why } of malformed) {
  t.test(`no verdict: ${why}`, async (t) => {
    const { outcomes, denies: all } = await runChain([says(value), pass], subject());
    t.equal(outcomes[0]?.outcome, 'deny');
    t.equal(outcomes[1]?.outcome, 'pass');
    t.match(all, [{ code: 'INTERCEPTOR_ERROR', check: 'malformed' }]);
  });
}
