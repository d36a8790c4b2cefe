import type { Kysely } from 'kysely';

import { run } from './support/secure-table.ts';

/** Who suspended a workspace and when, and the few workspaces that every replica must know of. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await run(
    db,
    `
    ALTER TABLE workspaces
      ADD COLUMN suspended_at timestamptz,
      ADD COLUMN suspended_by text;
    CREATE INDEX workspaces_suspended ON workspaces (id) WHERE state = 'suspended';
    CREATE INDEX workspaces_with_a_ceiling ON workspaces (id)
      WHERE settings #> '{limits,requestsPerSecond}' IS NOT NULL;
  `,
  );
}
