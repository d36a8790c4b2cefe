import type { Subject } from '../conformance/isolation/statement.ts';
import type { World } from './world.ts';

/** The driver for a cluster, as far as the cluster of the tests can show it. */
export function kubernetesSubject(world: World): Subject {
  return {
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
  };
}
