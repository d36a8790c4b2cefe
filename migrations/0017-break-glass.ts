import type { Kysely } from 'kysely';

import { run, secureTable } from './support/secure-table.ts';

/** Time-boxed elevations. Rows stay: what they were for stands in the event of the grant. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await run(
    db,
    `
    CREATE TABLE break_glass_elevations (
      workspace_id text NOT NULL REFERENCES workspaces (id),
      id uuid NOT NULL,
      principal_id text NOT NULL,
      principal_kind text NOT NULL CHECK (principal_kind IN ('human', 'service')),
      granted_at timestamptz NOT NULL,
      expires_at timestamptz NOT NULL CHECK (expires_at > granted_at),
      -- The access.breakglass.granted in the chain of the workspace.
      granted_seq bigint NOT NULL,
      ended_at timestamptz,
      end_cause text CHECK (end_cause IN ('expired', 'holder', 'administrator')),
      PRIMARY KEY (workspace_id, id),
      CHECK ((ended_at IS NULL) = (end_cause IS NULL))
    );
    -- A principal has one elevation in a workspace at a time.
    CREATE UNIQUE INDEX break_glass_elevations_open ON break_glass_elevations (workspace_id, principal_id)
      WHERE ended_at IS NULL;
    CREATE INDEX break_glass_elevations_by_id ON break_glass_elevations (id);
  `,
  );
  await secureTable(db, 'break_glass_elevations', {
    key: 'workspace_id',
    appPrivileges: 'SELECT, INSERT, UPDATE',
    systemReads: true,
  });
}
