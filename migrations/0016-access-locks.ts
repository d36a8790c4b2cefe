import type { Kysely } from 'kysely';

import { run, secureTable } from './support/secure-table.ts';

/** Certificates and principals that are locked out, and how a replica sees in one row that the list has changed. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await run(db, TABLES);
  await secureTable(db, 'access_locks', {
    key: 'chain',
    appPrivileges: 'SELECT, INSERT, DELETE',
    systemReads: true,
  });
  await secureTable(db, 'access_lock_revision', { key: 'chain', appPrivileges: 'SELECT', systemReads: true });
  await run(db, TRIGGER);
}

const TABLES = `
  CREATE TABLE access_locks (
    id uuid PRIMARY KEY,
    -- Locks belong to no workspace.
    chain text NOT NULL DEFAULT '_system' CHECK (chain = '_system'),
    -- The access.lock.placed; its reason is erased where all others are.
    seq bigint NOT NULL CHECK (seq > 0),
    -- 20 octets (RFC 5280 §4.1.2.2), and the one more that OpenSSL lets pass.
    serial text CHECK (serial ~ '^(0|[1-9A-F][0-9A-F]{0,41})$'),
    principal_id text CHECK (octet_length(principal_id) BETWEEN 1 AND 2048),
    placed_at timestamptz NOT NULL,
    placed_by text NOT NULL,
    -- Null: until it is released.
    expires_at timestamptz,
    CHECK (num_nonnulls(serial, principal_id) = 1)
  );

  -- One row, so that nobody reads a long list every second to find out that it is the same.
  CREATE TABLE access_lock_revision (
    chain text PRIMARY KEY CHECK (chain = '_system'),
    revision bigint NOT NULL
  );
  INSERT INTO access_lock_revision (chain, revision) VALUES ('_system', 0);`;

const TRIGGER = `
  CREATE FUNCTION access_locks_changed() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  BEGIN
    -- A standby that takes over may have lost the last changes: what comes then must not have the number of one of them, which
    -- replicas have read.
    UPDATE access_lock_revision
      SET revision = greatest(revision + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
    RETURN NULL;
  END $$;
  REVOKE ALL ON FUNCTION access_locks_changed() FROM PUBLIC;
  CREATE TRIGGER access_locks_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON access_locks
    FOR EACH STATEMENT EXECUTE FUNCTION access_locks_changed();`;
