import type { StoredValue, StoredValues } from './personal.ts';

/** The member `personal` of a line of an export: `{ "<member>": { value, salt } }`; none where nothing is there. */
export function valuesForm(stored: StoredValues | undefined): { personal?: object } {
  if (stored === undefined || stored.values.length === 0) return {};
  const entries = stored.values.map(({ member, value, salt }) => [member, { value, salt: salt.toString('base64') }]);
  return { personal: Object.fromEntries(entries) };
}

/** What that member says; undefined for another form. What it does not have was perhaps not exported. */
export function parseValues(stored: unknown): StoredValues | undefined {
  if (!isRecord(stored)) return undefined;
  const values: StoredValue[] = [];
  for (const [member, one] of Object.entries(stored)) {
    if (!isRecord(one)) return undefined;
    const { value, salt } = one;
    if (typeof value !== 'string' || typeof salt !== 'string') return undefined;
    values.push({ member, value, salt: Buffer.from(salt, 'base64') });
  }
  return { values, complete: false };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
