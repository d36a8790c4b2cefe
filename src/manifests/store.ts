import type { Trx } from '../storage/database.ts';
import type { VerifiedManifest } from './manifests.ts';
import type {} from './table.ts';

/**
 * Takes a manifest's one use; false when it is taken, in whatever workspace. Of two transactions that want it the second
 * waits for the first.
 */
export async function spendManifest(
  trx: Trx,
  workspaceId: string,
  manifest: VerifiedManifest,
  now: Date,
): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await trx
    .insertInto('accepted_manifests')
    .values({
      manifest_id: manifest.manifestId,
      workspace_id: workspaceId,
      manifest_hash: manifest.manifestHash,
      signer_id: manifest.signerId,
      expires_at: new Date(manifest.expiresAt),
      accepted_at: now,
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return numInsertedOrUpdatedRows === 1n;
}
