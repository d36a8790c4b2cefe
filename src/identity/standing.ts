import type { Socket } from 'node:net';

import type { AuthenticateParts } from './authenticate.ts';
import { Unauthenticated } from './errors.ts';

/** Throws Unauthenticated for a connection that may send no more requests. */
export type Standing = (socket: Socket) => void | Promise<void>;

/**
 * Judges a connection by itself, between requests: its certificate and, where that has one, its principal. Whom a proxy or
 * a token speaks for is known with a request alone.
 */
export function createStanding(
  parts: Pick<AuthenticateParts, 'peers' | 'names' | 'mesh' | 'isHumanListener' | 'isLocked'>,
): Standing {
  const { peers, names, mesh, isHumanListener, isLocked } = parts;
  return (socket) => {
    if (isHumanListener(socket)) return;
    const peer = peers.certificateOf(socket);
    if (peer === undefined) return;
    const locked = mesh.isProxy(peer) ? peer.uris.some(isLocked) : isLocked(names(peer).id);
    if (locked) throw new Unauthenticated('PRINCIPAL_LOCKED');
  };
}
