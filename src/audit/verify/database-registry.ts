import type { Query } from './database-session.ts';

/** Members of an entry of signers.json that only newer schemas have a column for. */
const LATER: readonly [column: string, expression: string, member: string][] = [
  ['trusted_up_to', iso('trusted_up_to'), 'trustedUpTo'],
  ['valid_from_size', 'valid_from_size::float8', 'validFromSize'],
  ['valid_to_size', 'valid_to_size::float8', 'validToSize'],
  ['replaces', 'replaces', 'replaces'],
];

/** The registry's entries in the form of signers.json, by signerId; none of the members that an older schema has not. */
export async function readSigners(query: Query): Promise<object[]> {
  const there = await query<{ name: string }>(
    `SELECT attname AS name FROM pg_attribute WHERE attrelid = 'public.signers'::regclass AND NOT attisdropped`,
  );
  const columns = new Set(there.map(({ name }) => name));
  const later = LATER.filter(([column]) => columns.has(column)).map(([, sql, member]) => `${sql} AS "${member}",`);
  return query(
    `SELECT signer_id AS "signerId", alg, public_key AS "publicKey", purpose, state,
      ${iso('not_before')} AS "notBefore", ${iso('not_after')} AS "notAfter", ${iso('revoked_at')} AS "revokedAt",
      ${later.join('\n')}
      ${iso('created_at')} AS "createdAt", ${iso('updated_at')} AS "updatedAt"
    FROM public.signers ORDER BY signer_id COLLATE "C"`,
  );
}

/** How many changes it says it has seen; NaN without an answer, undefined in a schema of before it was counted. */
export async function readRegistryVersion(query: Query): Promise<number | undefined> {
  const [table] = await query<{ there: boolean }>(`SELECT to_regclass('public.signer_registry') IS NOT NULL AS there`);
  if (table?.there !== true) return undefined;
  const rows = await query<{ version: string | null }>('SELECT version::text AS version FROM public.signer_registry');
  const [row] = rows;
  return rows.length === 1 && row !== undefined && row.version !== null ? Number(row.version) : Number.NaN;
}

function iso(column: string): string {
  return `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
}
