import { sha256Digest } from '../crypto/digest.ts';
import { type IdentityMap, parseIdentityMap } from '../identity/identity-map.ts';
import type { WatchedSource } from './watched.ts';

export interface IdentityMapFile {
  readonly source: WatchedSource;
  /** Throws before the first load. */
  current(): IdentityMap;
}

/** The identity map as its file has it. Changed roles and workspaces count on the next request, a missing entry at once. */
export function createIdentityMapFile(file: string, trustDomain: string): IdentityMapFile {
  let inForce: IdentityMap | undefined;

  const source: WatchedSource = {
    name: 'identity_map',
    paths: [file],
    load: async (contents) => {
      const bytes = contents.get(file) ?? Buffer.alloc(0);
      const next = parseIdentityMap(bytes.toString('utf8'), trustDomain);
      return {
        apply: () => {
          inForce = next;
        },
        ends: ['NOT_IN_IDENTITY_MAP'],
        events: (closedConnections) => [
          {
            type: 'identity.map.applied',
            payload: {
              digest: sha256Digest(bytes),
              principals: next.bySpiffe.size + next.byCommonName.size,
              closedConnections,
            },
          },
        ],
      };
    },
  };

  return {
    source,
    current: () => {
      if (inForce === undefined) throw new Error('the identity map is not loaded');
      return inForce;
    },
  };
}
