import { canonicalBytes } from '../crypto/canonical-json.ts';
import { type Digest, sha256Digest } from '../crypto/digest.ts';
import type { JsonObject, PolicyBundle } from './bundle.ts';

/** The bytes that the policy hash covers: RFC 8785 of `{ policySet, modules, data }` (contract §7). */
export function policyBytes(policySet: string, bundle: Pick<PolicyBundle, 'modules' | 'data'>): Buffer {
  const { modules, data } = bundle;
  return canonicalBytes({ policySet, modules, data });
}

/** The policy hash. Two bundles have the same one exactly if policy set, modules and data are the same. */
export function policyHash(policySet: string, modules: Readonly<Record<string, string>>, data: JsonObject): Digest {
  return sha256Digest(policyBytes(policySet, { modules, data }));
}
