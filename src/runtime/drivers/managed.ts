import type { RuntimeDriver } from '../driver.ts';
import type { Isolation } from '../isolation.ts';

/** Agents with a runtime, which the supervisor runs with this isolation. */
export function managedDriver({ name }: Isolation): RuntimeDriver {
  return {
    name,
    managed: true,
    onStart: () => ({ status: 'starting', readyReplicas: 0 }),
    onStop: () => ({ status: 'stopping', readyReplicas: 0 }),
  };
}
