import type { SignerView } from './schema.ts';
import type { SignerRow } from './store.ts';

/** A row of the registry as the API and signers.json show it. */
export function signerView(row: SignerRow): SignerView {
  return {
    signerId: row.signer_id,
    alg: row.alg,
    publicKey: row.public_key,
    purpose: row.purpose,
    state: row.state,
    notBefore: row.not_before?.toISOString() ?? null,
    notAfter: row.not_after?.toISOString() ?? null,
    revokedAt: row.revoked_at?.toISOString() ?? null,
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString(),
  };
}
