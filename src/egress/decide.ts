import { isInternalAddress, isPublicAddress } from '../http/public-address.ts';
import type { Allowlist } from './allowlist.ts';
import type { EgressRules } from './rules.ts';
import { sameTarget, type Target, type TargetProblem } from './target.ts';

/** Why a connection was refused, or did not come to be. */
export type EgressCode =
  | TargetProblem
  | 'BAD_REQUEST' // a head that can be read in several ways, or is none for a proxy
  | 'NOT_ON_ALLOWLIST'
  | 'PORT_NOT_ALLOWED'
  | 'ADDRESS_NOT_PUBLIC' // of the addresses of the name at least one
  | 'SNI_MISMATCH' // TLS asks for another host than CONNECT did
  | 'HOST_MISMATCH' // the Host header names another
  | 'TOO_MANY_CONNECTIONS'
  | 'BYTE_LIMIT'
  | 'NAME_NOT_FOUND'
  | 'UNREACHABLE'
  | 'TIMEOUT';

export type Verdict =
  | { readonly allowed: true; readonly addresses: readonly string[] }
  | { readonly allowed: false; readonly code: EgressCode };

const WEB_PORTS = [80, 443];

/** Decides by name before it looks anything up, so that what is not allowed reaches no name server either. */
export async function decide(target: Target, allows: Allowlist, rules: EgressRules): Promise<Verdict> {
  if (!allows(target.host)) return denied('NOT_ON_ALLOWLIST');
  const internal = rules.internalHosts.some((known) => sameTarget(known, target));
  if (!internal && !WEB_PORTS.includes(target.port)) return denied('PORT_NOT_ALLOWED');
  const addresses = await rules.resolve(target.host).catch(() => []);
  if (addresses.length === 0) return denied('NAME_NOT_FOUND');
  const usable = (address: string) => isPublicAddress(address) || (internal && isInternalAddress(address));
  return addresses.every(usable) ? { allowed: true, addresses } : denied('ADDRESS_NOT_PUBLIC');
}

function denied(code: EgressCode): Verdict {
  return { allowed: false, code };
}
