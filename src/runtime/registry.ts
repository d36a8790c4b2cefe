import type { RuntimeDriver } from './driver.ts';
import { registeredDriver } from './drivers/registered.ts';

/** Chooses the runtime of an agent. */
export interface RuntimeRegistry {
  /** The driver that runs an agent with this spec; one without `runtime` always runs elsewhere (contract §5). */
  driverFor(spec: unknown): RuntimeDriver;
  /** The driver of an agent by what its row says. */
  driverOf(managed: boolean): RuntimeDriver;
}

/** A registry of the drivers that are on; at most one of them may be managed. */
export function createRuntimeRegistry(drivers: readonly RuntimeDriver[] = []): RuntimeRegistry {
  const [managed, ...others] = drivers.filter((driver) => driver.managed);
  if (others.length > 0) throw new RangeError('more than one managed runtime driver');
  return {
    driverFor: (spec) => (hasRuntime(spec) ? (managed ?? registeredDriver) : registeredDriver),
    driverOf: (isManaged) => (isManaged ? (managed ?? registeredDriver) : registeredDriver),
  };
}

function hasRuntime(spec: unknown): boolean {
  return typeof spec === 'object' && spec !== null && 'runtime' in spec && spec.runtime !== undefined;
}
