import type { Socket } from 'node:net';

/**
 * What a connection and the TLS socket over it have in common, between which Node has no public link: the addresses and ports of
 * both ends, for one client may use one port towards two of our addresses. Undefined once the client is gone.
 */
export function endsOf({ localAddress, localPort, remoteAddress, remotePort }: Socket): string | undefined {
  if (localAddress === undefined || remoteAddress === undefined) return undefined;
  return `${localAddress} ${localPort} ${remoteAddress} ${remotePort}`;
}
