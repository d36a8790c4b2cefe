import type { Kysely } from 'kysely';

import { run, secureTable } from './support/secure-table.ts';

export async function up(db: Kysely<unknown>): Promise<void> {
  await run(
    db,
    `
    -- The first answer to a request with an Idempotency-Key, written with the change it answers. Neither the key nor the
    -- request is here: both are digests.
    CREATE TABLE idempotency_keys (
      -- The workspace, or _system for what belongs to none.
      workspace_id text NOT NULL,
      -- SHA-256 over principal, workspace, method, path and key.
      scope bytea NOT NULL CHECK (octet_length(scope) = 32),
      -- The agent, for one part of a batch; empty for the answer as a whole.
      item text NOT NULL DEFAULT '' CHECK (length(item) <= 64),
      -- SHA-256 over the body.
      request bytea NOT NULL CHECK (octet_length(request) = 32),
      status smallint NOT NULL CHECK (status BETWEEN 200 AND 499),
      headers jsonb NOT NULL,
      body text NOT NULL CHECK (octet_length(body) <= 1048576),
      expires_at timestamptz NOT NULL,
      PRIMARY KEY (workspace_id, scope, item)
    );
    CREATE INDEX idempotency_keys_expiring ON idempotency_keys (expires_at);
  `,
  );
  await secureTable(db, 'idempotency_keys', {
    key: 'workspace_id',
    appPrivileges: 'SELECT, INSERT, UPDATE, DELETE',
    systemReads: true,
  });
}
