import type { AuditAppender } from '../../src/audit/append.ts';
import type { Clock } from '../../src/clock.ts';
import type { Manifests } from '../../src/manifests/manifests.ts';
import { createManifests } from '../../src/manifests/service.ts';
import { createManifestTrust } from '../../src/manifests/trust.ts';
import type { Storage } from '../../src/storage/storage.ts';

/** Manifests of a service that trusts nobody: none is ever accepted, and the profile that needs one is refused. */
export function manifestsWithoutSigners(parts: { storage: Storage; audit: AuditAppender; clock: Clock }): Manifests {
  const { storage, audit, clock } = parts;
  const trust = createManifestTrust({
    standing: async () => undefined,
    read: (work) => storage.read('_system', work),
    kernel: undefined,
  });
  return createManifests({ audit, trust, clock, audience: 'castellan' });
}
