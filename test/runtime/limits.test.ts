import t from 'tap';

import { BeyondCeiling, ceilingsOf, resolveDomains, resolveLimits, resourcesOf } from '../../src/runtime/limits.ts';

const CEILINGS = { cpu: 2, memoryMb: 2048, pids: 512, diskMb: 1024 };

function errorsOf(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    if (error instanceof BeyondCeiling) return error.members['errors'];
    throw error;
  }
  return 'nothing was refused';
}

t.test('what nobody asks for has a default, and never more than the ceilings', async (t) => {
  t.same(resourcesOf(resolveLimits(undefined, CEILINGS, '/resources')), {
    cpu: 1,
    memoryMb: 512,
    pids: 128,
    diskMb: 256,
  });
  const low = { cpu: 0.5, memoryMb: 64, pids: 16, diskMb: 8 };
  t.same(resourcesOf(resolveLimits({}, low, '/resources')), low);
  t.same(resolveLimits({ memoryMb: 2048 }, CEILINGS, '/resources').memoryBytes, 2_147_483_648, 'up to the ceiling');
});

t.test('beyond a ceiling, or too little, is refused by name', async (t) => {
  t.same(
    errorsOf(() => resolveLimits({ cpu: 3, pids: 513, memoryMb: 7, diskMb: Number.NaN }, CEILINGS, '/resources')),
    [
      { pointer: '/resources/cpu', detail: 'at most 2 here' },
      { pointer: '/resources/memoryMb', detail: 'at least 8' },
      { pointer: '/resources/pids', detail: 'at most 512 here' },
      { pointer: '/resources/diskMb', detail: 'at least 1' },
    ],
  );
});

t.test('a workspace only lowers what the service allows', async (t) => {
  t.same(ceilingsOf(CEILINGS, {}), CEILINGS);
  t.same(ceilingsOf(CEILINGS, { maxCpu: 16, maxMemoryMb: 128 }), { ...CEILINGS, memoryMb: 128 });
});

t.test('a host is allowed by an entry that covers it', async (t) => {
  const ceiling = ['example.org', '*.example.com'];
  t.same(resolveDomains(undefined, ceiling, '/network/allowDomains'), []);
  const covered = ['example.org', 'a.example.com', '*.example.com', '*.b.example.com'];
  t.same(resolveDomains([...covered, 'example.org'], ceiling, '/network/allowDomains'), covered, 'each once');
  for (const domain of ['a.example.org', '*.example.org', 'example.com', 'badexample.com', '*.com', 'com']) {
    t.same(
      errorsOf(() => resolveDomains(['example.org', domain], ceiling, '/network/allowDomains')),
      [{ pointer: '/network/allowDomains/1', detail: 'is not among the hosts that the workspace allows' }],
      domain,
    );
  }
  t.ok(Array.isArray(errorsOf(() => resolveDomains(['example.org'], [], '/n'))), 'none are allowed by default');
});
