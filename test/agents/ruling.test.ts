import t from 'tap';

import type { Denial } from '../../src/admission/check.ts';
import type { AdmissionResult } from '../../src/admission/service.ts';
import { rulingOf } from '../../src/agents/ruling.ts';

const passed: AdmissionResult = {
  allowed: true,
  checks: [
    { check: 'specHash', outcome: 'pass' },
    { check: 'signature', outcome: 'skip' },
  ],
  interceptors: [],
  denies: [],
};
const deny: Denial = { code: 'X', reason: 'r', severity: 'DENY', check: 'c' };

t.test('an answer without contradictions is taken as it is', async (t) => {
  t.strictSame(rulingOf(passed), { allowed: true, checks: passed.checks, interceptors: [] });
  t.strictSame(rulingOf({ ...passed, allowed: false, denies: [deny] }), { allowed: false, denies: [deny] });
});

t.test('an answer that contradicts itself denies', async (t) => {
  t.match(rulingOf({ ...passed, denies: [deny] }), { allowed: false, denies: [deny] });
  t.match(rulingOf({ ...passed, allowed: false }), { allowed: false, denies: [{ code: 'INTERCEPTOR_ERROR' }] });
  t.match(rulingOf({ ...passed, checks: [] }), { allowed: false, denies: [{ code: 'INTERCEPTOR_ERROR' }] });
  const denied = { check: 'quarantine', outcome: 'deny' } as const;
  t.match(rulingOf({ ...passed, interceptors: [denied] }), { allowed: false, denies: [{ code: 'INTERCEPTOR_ERROR' }] });
});
