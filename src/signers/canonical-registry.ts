import { canonicalBytes } from '../crypto/canonical-json.ts';
import { type Digest, sha256Digest } from '../crypto/digest.ts';
import type { SignerRow } from './store.ts';

/** The members of a registry entry that decide what its signatures are worth (docs/audit-format.md §4). */
export function canonicalEntry(row: SignerRow) {
  return {
    signerId: row.signer_id,
    alg: row.alg,
    publicKey: row.public_key,
    purpose: row.purpose,
    state: row.state,
    notBefore: timeOf(row.not_before),
    notAfter: timeOf(row.not_after),
    revokedAt: timeOf(row.revoked_at),
    trustedUpTo: timeOf(row.trusted_up_to),
    validFromSize: row.valid_from_size,
    validToSize: row.valid_to_size,
    replaces: row.replaces,
  };
}

/** One digest for all of the registry, whatever the order of the rows: SHA-256 of its RFC 8785 bytes, sorted by signerId. */
export function registryDigest(rows: readonly SignerRow[]): Digest {
  const entries = rows.map(canonicalEntry);
  entries.sort((a, b) => (a.signerId < b.signerId ? -1 : 1));
  return sha256Digest(canonicalBytes(entries));
}

function timeOf(time: Date | null): string | null {
  return time === null ? null : time.toISOString();
}
