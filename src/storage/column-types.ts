import { type CustomTypesConfig, types } from 'pg';

import { StorageError } from './pg-errors.ts';

/** Object ids of PostgreSQL's own types (pg_type.dat); they never change. */
const INT8 = 20;
const INT8_ARRAY: number = 1016;
const DATE = 1082;
const TIMESTAMP = 1114;

type Parse = (text: string) => unknown;

/**
 * How columns arrive: bigint as a number (refused when it is not a safe one), numeric as text, timestamptz as Date (only
 * milliseconds are ever stored), date and timestamp without zone as text, json and jsonb parsed, bytea as Buffer.
 * Set per connection, so that nothing else in the process that uses pg is affected.
 */
export const columnTypes: CustomTypesConfig = {
  getTypeParser(oid: number, format?: 'text' | 'binary'): Parse {
    if (format !== 'binary') {
      if (oid === INT8) return safeInteger;
      if (oid === INT8_ARRAY) return safeIntegers;
      if (oid === DATE || oid === TIMESTAMP) return asText;
    }
    return types.getTypeParser(oid, format);
  },
};

function safeInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new StorageError('NUMBER_TOO_LARGE', 'a bigint is not a safe integer');
  return value;
}

function safeIntegers(text: string): (number | null)[] {
  const parsed: unknown = types.getTypeParser(INT8_ARRAY)(text);
  if (!Array.isArray(parsed)) throw new StorageError('NUMBER_TOO_LARGE', 'a bigint[] did not parse as an array');
  return parsed.map((item: unknown) => (item === null ? null : safeInteger(String(item))));
}

function asText(text: string): string {
  return text;
}
