import { pino } from 'pino';

import { closeInheritedDescriptors } from '../../src/boot/descriptors.ts';
import type { KubernetesConfig } from '../../src/config/runtime.ts';
import { defaultRuntime } from '../../src/config.ts';
import { createEgressRules } from '../../src/egress/rules.ts';
import { createBubblewrapIsolation } from '../../src/runtime/drivers/bubblewrap/index.ts';
import { createKubernetesIsolation, type KubernetesParts } from '../../src/runtime/drivers/kubernetes/index.ts';
import type { Isolation } from '../../src/runtime/isolation.ts';
import type { Tap } from '../support/postgres.ts';
import { type FakeCluster, startFakeCluster } from './fake-cluster/cluster.ts';

export const IMAGE = 'registry.example/castellan-sandbox:0.1.0';

export interface World {
  readonly cluster: FakeCluster;
  /** A driver on it, as a service has one; closed with the test. */
  driver(config?: Partial<KubernetesConfig>, parts?: Partial<KubernetesParts>): Isolation;
}

/** A cluster whose node is this machine; both are gone when the test ends. */
export async function openWorld(t: Tap): Promise<World> {
  // As the service does when it starts: whoever runs the tests may have left some open.
  closeInheritedDescriptors();
  const runtime = defaultRuntime();
  const logger = pino({ level: process.env['LOG_LEVEL'] ?? 'silent' });
  const local = createBubblewrapIsolation(runtime, {
    logger,
    egressRules: createEgressRules(runtime.egress),
    searchPath: process.env['PATH'],
  });
  t.teardown(() => local.close());
  const state = await local.state();
  if (!state.available) throw new Error(JSON.stringify(state.problem));
  const cluster = await startFakeCluster(local);
  t.teardown(() => cluster.close());
  return {
    cluster,
    driver: (config = {}, parts = {}) => {
      const kubernetes = { ...runtime.kubernetes, namespace: cluster.namespace, image: IMAGE, ...config };
      const isolation = createKubernetesIsolation({ kubernetes }, { logger, access: cluster.access, ...parts });
      t.teardown(() => isolation.close());
      return isolation;
    },
  };
}
