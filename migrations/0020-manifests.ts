import type { Kysely } from 'kysely';

import { run, secureTable } from './support/secure-table.ts';

/** Each of the Kernel's manifests is accepted once. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await run(
    db,
    `
    -- One use in all workspaces: what was spent in one is spent in the others. The app cannot delete a row, and nothing
    -- does: behind expires_at a manifest is refused anyway, but for a clock that is set back.
    CREATE TABLE accepted_manifests (
      manifest_id uuid PRIMARY KEY,
      workspace_id text NOT NULL,
      manifest_hash text NOT NULL CHECK (manifest_hash ~ '^sha256:[0-9a-f]{64}$'),
      signer_id text NOT NULL,
      expires_at timestamptz NOT NULL,
      accepted_at timestamptz NOT NULL
    );
  `,
  );
  await secureTable(db, 'accepted_manifests', { key: 'workspace_id', appPrivileges: 'SELECT, INSERT' });
}
