import { canonicalEntry } from './canonical-registry.ts';
import type { SignerView } from './schema.ts';
import type { SignerRow } from './store.ts';

/** A row of the registry as the API and signers.json show it. */
export function signerView(row: SignerRow): SignerView {
  return {
    ...canonicalEntry(row),
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString(),
  };
}
