import type { Denial } from '../admission/check.ts';

/** The years that RFC 3339 can write. */
const EARLIEST = Date.parse('0001-01-01T00:00:00.000Z');
const LATEST = Date.parse('9999-12-31T23:59:59.999Z');
const UNKNOWN_TIME = '1970-01-01T00:00:00.000Z';

// One row that somebody damaged must not hide the others in its list, nor the agent from those who look into it. What
// such a row means is not decided here: admission reads it for itself and refuses.

/** A stored instant as RFC 3339; one beyond its years, `infinity` too, is the nearest within. */
export function timeOf(stored: Date | number): string {
  return new Date(Math.min(Math.max(Number(stored), EARLIEST), LATEST)).toISOString();
}

/** The stored quarantine; what is missing of it is said to be unknown, for the agent is quarantined all the same. */
export function quarantineOf(stored: unknown): { at: string; by: string; reason: string } {
  return {
    at: textIn(stored, 'at') ?? UNKNOWN_TIME,
    by: textIn(stored, 'by') ?? 'unknown',
    reason: textIn(stored, 'reason') ?? 'unknown',
  };
}

/** The stored invalidation, with the denials that can be read; without them the agent is invalidated all the same. */
export function invalidationOf(stored: unknown): { at: string; denies: Denial[] } {
  const denies = isRecord(stored) ? stored['denies'] : undefined;
  return { at: textIn(stored, 'at') ?? UNKNOWN_TIME, denies: Array.isArray(denies) ? denies.filter(isDenial) : [] };
}

function isDenial(value: unknown): value is Denial {
  return ['code', 'reason', 'severity', 'check'].every((member) => textIn(value, member) !== undefined);
}

function textIn(value: unknown, member: string): string | undefined {
  const found = isRecord(value) ? value[member] : undefined;
  return typeof found === 'string' ? found : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
