import { chmod, chown } from 'node:fs/promises';
import { join } from 'node:path';

import { type EgressProxy, openEgress } from '../../../egress/proxy.ts';
import type { EgressRules } from '../../../egress/rules.ts';
import type { EgressLimits } from '../../../egress/session.ts';
import type { EgressDecision } from '../../isolation.ts';
import type { Place } from './place.ts';

/** The way out of one place, if it has any. */
export interface EgressLink {
  /** Host path of a socket that only the place's own user may connect to; undefined: no network at all. */
  readonly socket: string | undefined;
  readonly decisions: readonly EgressDecision[];
  close(): Promise<void>;
}

const NO_EGRESS: EgressLink = { socket: undefined, decisions: [], close: async () => undefined };

export async function openEgressLink(
  place: Place,
  options: { readonly allowDomains: readonly string[]; readonly rules: EgressRules; readonly limits: EgressLimits },
): Promise<EgressLink> {
  if (options.allowDomains.length === 0) return NO_EGRESS;
  const proxy = openEgress(options);
  // Short: the path of a unix socket has at most 107 bytes.
  const socket = join(place.dir, 'e');
  try {
    await proxy.listen(socket);
    await chmod(socket, 0o600);
    if (place.slot !== undefined) await chown(socket, place.slot.uid, place.slot.gid);
  } catch (error) {
    await proxy.close();
    throw error;
  }
  return linkOf(proxy, socket);
}

function linkOf(proxy: EgressProxy, socket: string): EgressLink {
  return {
    socket,
    get decisions() {
      return proxy.decisions;
    },
    close: () => proxy.close(),
  };
}
