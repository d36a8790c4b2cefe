import { once } from 'node:events';
import type { Socket } from 'node:net';

import { EgressFailure } from './failure.ts';
import type { EgressRules } from './rules.ts';

/** Addresses of one name that are tried, one after the other. */
const MAX_TRIES = 4;

/** A connection to the first of the addresses that answers; they were looked up and checked, nothing is looked up here. */
export async function dial(
  addresses: readonly string[],
  port: number,
  rules: EgressRules,
  signal: AbortSignal,
): Promise<Socket> {
  let last: unknown;
  for (const address of addresses.slice(0, MAX_TRIES)) {
    signal.throwIfAborted();
    const socket = rules.connect(address, port);
    // Whoever takes it over hears of errors by the stream's end; without a listener they would end the process.
    socket.on('error', () => undefined);
    try {
      await once(socket, 'connect', { signal });
      return socket;
    } catch (error) {
      socket.destroy();
      last = error;
    }
  }
  signal.throwIfAborted();
  throw new EgressFailure('UNREACHABLE', last);
}
