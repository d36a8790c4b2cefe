import { readFileSync } from 'node:fs';
import t from 'tap';

import cases from './security-cases.json' with { type: 'json' };

/** What must hold for identity, tenants, input, overload and isolation, and the test of each: a case whose test is gone is found here. */
t.test('every case has its test', async (t) => {
  for (const { part, case: name, outcome, file, says } of cases) {
    const text = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
    t.ok(text.includes(says), `${part}: ${name} → ${outcome} (${file}: ${says})`);
  }
  t.same([...new Set(cases.map(({ part }) => part))], ['identity', 'tenants', 'input', 'overload', 'isolation']);
});
