import { Resolver } from 'node:dns/promises';
import { connect as netConnect, type Socket } from 'node:net';

import { type Clock, systemClock } from '../clock.ts';
import type { EgressConfig, HostPort } from '../config/runtime.ts';

/** One question to a name server, and how often it is asked. */
const DNS_TIMEOUT_MS = 2000;
const DNS_TRIES = 2;

/** What is counted of egress. */
export interface EgressObserver {
  connection(verdict: 'allowed' | 'denied'): void;
  bytes(direction: 'in' | 'out', count: number): void;
}

/** What every egress proxy of this service shares. */
export interface EgressRules {
  /** Host and port that may have private addresses. */
  readonly internalHosts: readonly HostPort[];
  /** Every address of a name; rejects, or resolves to none, when there are none. */
  readonly resolve: (host: string) => Promise<readonly string[]>;
  /** Begins to connect to an address, which it must not look up or replace. */
  readonly connect: (address: string, port: number) => Socket;
  readonly now: Clock;
  readonly observe: EgressObserver;
}

const UNOBSERVED: EgressObserver = { connection: () => undefined, bytes: () => undefined };

/** The rules of this service; `replace` is for metrics, and for tests that have their own names and servers. */
export function createEgressRules(
  config: Pick<EgressConfig, 'internalHosts'>,
  replace: Partial<Omit<EgressRules, 'internalHosts'>> = {},
): EgressRules {
  return {
    internalHosts: config.internalHosts,
    resolve: nameServers(),
    connect: (host, port) => netConnect({ host, port, allowHalfOpen: true, noDelay: true }),
    now: systemClock,
    observe: UNOBSERVED,
    ...replace,
  };
}

/**
 * Asks the name servers (those of this machine, unless others are given), not getaddrinfo: that one takes a thread of the pool that files and keys share, for as long as
 * whoever owns a name pleases. One family without an answer leaves the other's.
 */
export function nameServers(servers?: readonly string[]): EgressRules['resolve'] {
  return async (host) => {
    // One for each question: it reads which name servers there are when it is made.
    const resolver = new Resolver({ timeout: DNS_TIMEOUT_MS, tries: DNS_TRIES });
    if (servers !== undefined) resolver.setServers(servers);
    const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
    return answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
  };
}
