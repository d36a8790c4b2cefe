import { type Claimed, Unauthenticated } from './errors.ts';
import type { IdentityMap } from './identity-map.ts';
import type { Principal } from './principal.ts';
import { agentOfPath, isAgentNamespace, parseSpiffeId } from './spiffe.ts';

/** What a certificate says who its holder is: the one URI in it, or the common name where there is none. */
export interface PeerName {
  readonly uris: readonly string[];
  readonly commonName: string | undefined;
}

export interface NamesOptions {
  /** The map in force now. */
  readonly identityMap: () => IdentityMap;
  readonly trustDomain: string;
  /** Accept the common name of a certificate that has no URI. */
  readonly allowCommonName: boolean;
}

/** The principal behind a name; throws Unauthenticated. The same object is looked up once with each map. */
export type Names = (name: PeerName) => Principal;

/** Looks names up: an agent's says everything, all others must be in the identity map. */
export function createNames(options: NamesOptions): Names {
  const known = new WeakMap<PeerName, { readonly by: IdentityMap; readonly principal: Principal }>();

  function lookUp({ uris, commonName }: PeerName): Principal {
    const [uri, ...more] = uris;
    if (uri === undefined) return principalOfCommonName(commonName, options);
    // Two names would be two identities, and which one counts would depend on who reads.
    const id = more.length === 0 ? parseSpiffeId(uri) : undefined;
    if (id === undefined) throw new Unauthenticated('SPIFFE_ID_INVALID');
    if (id.trustDomain !== options.trustDomain) throw new Unauthenticated('TRUST_DOMAIN_UNKNOWN');
    if (isAgentNamespace(id.path)) return agentPrincipal(uri, id.path);
    return options.identityMap().bySpiffe.get(uri) ?? unmapped({ id: uri, kind: 'unknown' });
  }

  return (name) => {
    const by = options.identityMap();
    const found = known.get(name);
    if (found?.by === by) return found.principal;
    const principal = lookUp(name);
    known.set(name, { by, principal });
    return principal;
  };
}

function agentPrincipal(uri: string, path: string): Principal {
  const agent = agentOfPath(path);
  if (agent === undefined) throw new Unauthenticated('SPIFFE_ID_INVALID');
  return { id: uri, kind: 'agent', roles: ['agent'], workspaces: [agent.workspaceId], agent };
}

function principalOfCommonName(name: string | undefined, options: NamesOptions): Principal {
  if (!options.allowCommonName || name === undefined) throw new Unauthenticated('NO_IDENTITY');
  return options.identityMap().byCommonName.get(name) ?? unmapped();
}

function unmapped(claimed?: Claimed): never {
  throw new Unauthenticated('NOT_IN_IDENTITY_MAP', claimed);
}

/** The one SPIFFE ID of a name that a refusal may be told of. */
export function claimedBy({ uris }: PeerName): Claimed | undefined {
  const [uri, ...more] = uris;
  if (uri === undefined || more.length > 0 || parseSpiffeId(uri) === undefined) return undefined;
  return { id: uri, kind: 'unknown' };
}
