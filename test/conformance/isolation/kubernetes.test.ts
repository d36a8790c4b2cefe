import t from 'tap';

import { openWorld } from '../../kubernetes/world.ts';
import { isolationTest } from '../../support/isolation.ts';
import { isolationConformance } from './suite.ts';

isolationTest(t);

const world = await openWorld(t);

isolationConformance(t, {
  name: 'kubernetes',
  open: async () => {
    const isolation = world.driver();
    return { isolation, close: () => isolation.close() };
  },
  has: {
    localAgents: false,
    limits: true,
    usage: false,
    namespaces: true,
    exactEnvironment: true,
    readOnlyRoot: true,
    confined: true,
  },
});
