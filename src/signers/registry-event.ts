import type { UnitScope } from '../audit/append.ts';
import type { EventInput } from '../audit/event.ts';
import { registryDigest } from './canonical-registry.ts';
import { listSigners, nextRegistryVersion } from './store.ts';

type SignerEventType =
  | 'signer.registered'
  | 'signer.rotation.requested'
  | 'signer.rotation.applied'
  | 'signer.retired'
  | 'signer.range.closed'
  | 'signer.revoked'
  | 'signer.compromise';

/**
 * Ends every change of the registry, in the unit that makes it: the event says which change it was, and by a digest what
 * the registry is after it, so that rows that were edited past the service do not fit the log.
 */
export async function appendRegistryEvent(scope: UnitScope, event: EventInput<SignerEventType>): Promise<void> {
  const registryVersion = await nextRegistryVersion(scope.trx);
  const digest = registryDigest(await listSigners(scope.trx));
  scope.append({ ...event, payload: { ...event.payload, registryVersion, registryDigest: digest } });
}
