import type { Kysely } from 'kysely';

import { run, secureTable } from './support/secure-table.ts';

/** Templates that agents are spawned from, and scaling as a decision of its own kind. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await run(
    db,
    `
    CREATE TABLE templates (
      workspace_id text NOT NULL,
      id text NOT NULL CHECK (id ~ '^[a-z0-9]' AND octet_length(id) <= 63),
      -- The one in force; all versions stay in template_versions.
      version integer NOT NULL CHECK (version > 0),
      updated_at timestamptz NOT NULL,
      PRIMARY KEY (workspace_id, id)
    );

    -- Evidence, as specs are: the rows of a deleted template stay, and a new one of its name goes on counting.
    CREATE TABLE template_versions (
      workspace_id text NOT NULL,
      template_id text NOT NULL,
      version integer NOT NULL CHECK (version > 0),
      name text NOT NULL,
      -- The RFC 8785 bytes of the config: what config_hash covers.
      config_bytes bytea NOT NULL,
      config_hash text NOT NULL CHECK (config_hash ~ '^sha256:[0-9a-f]{64}$'),
      created_at timestamptz NOT NULL,
      created_by text NOT NULL,
      PRIMARY KEY (workspace_id, template_id, version)
    );
  `,
  );
  await secureTable(db, 'templates', {
    key: 'workspace_id',
    appPrivileges: 'SELECT, INSERT, UPDATE, DELETE',
    systemReads: true,
  });
  await secureTable(db, 'template_versions', { key: 'workspace_id', appPrivileges: 'SELECT, INSERT' });
  await run(db, DECISION_KINDS);
}

/** Whatever kinds there are, scaling is one more. */
const DECISION_KINDS = `
  DO $$
  DECLARE
    kinds text := (
      SELECT pg_get_constraintdef(oid) FROM pg_constraint
      WHERE conname = 'decisions_kind_check' AND conrelid = 'decisions'::regclass
    );
  BEGIN
    IF kinds IS NULL OR strpos(kinds, '''start''::text') = 0 THEN
      RAISE EXCEPTION 'the kinds of decisions are not what they were';
    END IF;
    ALTER TABLE decisions DROP CONSTRAINT decisions_kind_check;
    EXECUTE 'ALTER TABLE decisions ADD CONSTRAINT decisions_kind_check '
      || replace(kinds, '''start''::text', '''start''::text, ''scale''::text');
  END $$;`;
