import type { EventBody } from './body.ts';

/**
 * The only events that Castellan writes unsigned: brakes, and facts it observed. Written down here a second time, not
 * taken from the writer: whoever can write rows can also make an event that calls itself unsigned, and the service would
 * sign over it. An approval, a registration or a renewal is only ever true with a signature of its own.
 */
export const UNSIGNED_TYPES: ReadonlySet<string> = new Set([
  'access.denied',
  'access.lock.placed',
  'agent.exited',
  'agent.expired',
  'agent.failed',
  'agent.invalidated',
  'agent.quarantined',
  'agent.stopped',
  'audit.hold.placed',
  'killswitch.engaged',
  'signer.compromise',
  'signer.revoked',
  'signer.rotation.requested',
  'workspace.suspended',
]);

/** Whether Castellan may have written this event without a signature: of those types, a rotation only in an emergency. */
export function mayBeUnsigned({ eventType, payload }: Pick<EventBody, 'eventType' | 'payload'>): boolean {
  if (eventType === 'signer.rotation.requested') return payload['emergency'] === true;
  return UNSIGNED_TYPES.has(eventType);
}
