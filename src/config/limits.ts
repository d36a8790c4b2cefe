import { ROLES, type Role } from '../roles.ts';
import type { SettingsReader } from './read.ts';

/** What is let in. Rates are requests a second. */
export interface LimitsConfig {
  readonly principal: { readonly rate: number; readonly burst: number };
  readonly workspace: { readonly rate: number; readonly burst: number };
  readonly brake: { readonly rate: number; readonly burst: number };
  /** Lower ceilings of principals by role; a role that is not named has the general one. */
  readonly roles: Readonly<Partial<Record<Role, number>>>;
  /** Requests under way at once, by lane. */
  readonly inFlight: { readonly read: number; readonly write: number; readonly brake: number };
  /** Requests of a lane that may wait for a place, and ms each may. */
  readonly maxWaiting: number;
  readonly maxWaitMs: number;
  /** Ms a request may take on average before fewer are let in at once. */
  readonly latencyMs: number;
  readonly eventLoopDelayMs: number;
}

/** What is wrong with the settings is added to the reader's problems. */
export function readLimits(read: SettingsReader): LimitsConfig {
  const bucket = (kind: 'PRINCIPAL' | 'WORKSPACE' | 'BRAKE') => ({
    rate: read.integer(`CASTELLAN_LIMITS_${kind}_RATE`),
    burst: read.integer(`CASTELLAN_LIMITS_${kind}_BURST`),
  });
  return {
    principal: bucket('PRINCIPAL'),
    workspace: bucket('WORKSPACE'),
    brake: bucket('BRAKE'),
    roles: roleRates(read),
    inFlight: {
      read: read.integer('CASTELLAN_LIMITS_IN_FLIGHT_READS'),
      write: read.integer('CASTELLAN_LIMITS_IN_FLIGHT_WRITES'),
      brake: read.integer('CASTELLAN_LIMITS_IN_FLIGHT_BRAKES'),
    },
    maxWaiting: read.integer('CASTELLAN_LIMITS_MAX_WAITING'),
    maxWaitMs: read.integer('CASTELLAN_LIMITS_MAX_WAIT_MS'),
    latencyMs: read.integer('CASTELLAN_LIMITS_LATENCY_MS'),
    eventLoopDelayMs: read.integer('CASTELLAN_LIMITS_EVENT_LOOP_DELAY_MS'),
  };
}

const ROLE_RATE = /^([a-z-]+)=([1-9]\d{0,6})$/;

function roleRates(read: SettingsReader): Partial<Record<Role, number>> {
  const rates: Partial<Record<Role, number>> = {};
  for (const item of (read.text('CASTELLAN_LIMITS_ROLE_RATES') ?? '').split(',').map((one) => one.trim())) {
    if (item === '') continue;
    const [, name, rate] = ROLE_RATE.exec(item) ?? [];
    const role = ROLES.find((one) => one === name);
    if (role === undefined || rates[role] !== undefined) {
      read.problem(`CASTELLAN_LIMITS_ROLE_RATES must be role=rate, each role once: ${ROLES.join(', ')}`);
      return rates;
    }
    rates[role] = Number(rate);
  }
  return rates;
}
