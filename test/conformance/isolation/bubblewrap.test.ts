import t from 'tap';

import { openIsolation } from '../../isolation/support/attack.ts';
import { isolationTest } from '../../support/isolation.ts';
import { watchLeftovers } from '../../support/leftovers.ts';
import { isolationConformance } from './suite.ts';

isolationTest(t);

isolationConformance(t, {
  name: 'bubblewrap',
  open: async () => {
    const { isolation } = await openIsolation(t);
    return { isolation, close: () => isolation.close() };
  },
  watch: () => watchLeftovers(t).nothingLeft,
  has: {
    localAgents: true,
    limits: true,
    usage: true,
    namespaces: true,
    exactEnvironment: true,
    readOnlyRoot: true,
    confined: true,
  },
});
