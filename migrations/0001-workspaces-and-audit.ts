import type { Kysely } from 'kysely';

import { run, secureTable } from './support/secure-table.ts';

export async function up(db: Kysely<unknown>): Promise<void> {
  await run(
    db,
    `
    CREATE TABLE workspaces (
      id text PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
      display_name text NOT NULL,
      state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'suspended')),
      settings jsonb NOT NULL DEFAULT '{}',
      created_at timestamptz NOT NULL,
      created_by text NOT NULL
    );

    -- One row per chain: whoever holds its lock owns the next position. Never lock the newest event instead.
    CREATE TABLE audit_heads (
      chain text PRIMARY KEY,
      seq bigint NOT NULL CHECK (seq >= 0),
      hash text NOT NULL CHECK (hash ~ '^[0-9a-f]{64}$'),
      deferred_from bigint,
      updated_at timestamptz NOT NULL
    );
    CREATE INDEX audit_heads_deferred ON audit_heads (chain) WHERE deferred_from IS NOT NULL;

    CREATE TABLE audit_events (
      chain text NOT NULL,
      seq bigint NOT NULL CHECK (seq > 0),
      id uuid NOT NULL,
      event_type text NOT NULL,
      ts timestamptz NOT NULL,
      actor_id text NOT NULL,
      actor_kind text NOT NULL,
      payload jsonb NOT NULL,
      body bytea NOT NULL CHECK (octet_length(body) <= 65535),
      hash text NOT NULL CHECK (hash ~ '^[0-9a-f]{64}$'),
      prev_hash text NOT NULL CHECK (prev_hash ~ '^[0-9a-f]{64}$'),
      signature text,
      signer_id text,
      sign_mode text NOT NULL CHECK (sign_mode IN ('event', 'batch', 'deferred')),
      PRIMARY KEY (chain, seq),
      UNIQUE (chain, prev_hash),
      CHECK ((sign_mode = 'deferred') = (signature IS NULL)),
      CHECK ((sign_mode = 'deferred') = (signer_id IS NULL))
    );
    CREATE INDEX audit_events_type ON audit_events (chain, event_type, seq);
    CREATE INDEX audit_events_actor ON audit_events (chain, actor_id, seq);
    CREATE INDEX audit_events_ts ON audit_events (chain, ts);

    CREATE FUNCTION audit_events_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      RAISE EXCEPTION 'audit_events is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
    END $$;
    CREATE TRIGGER audit_events_no_change BEFORE UPDATE OR DELETE ON audit_events
      FOR EACH ROW EXECUTE FUNCTION audit_events_are_append_only();
    CREATE TRIGGER audit_events_no_truncate BEFORE TRUNCATE ON audit_events
      FOR EACH STATEMENT EXECUTE FUNCTION audit_events_are_append_only();
  `,
  );
  await secureTable(db, 'workspaces', { key: 'id', appPrivileges: 'SELECT, INSERT, UPDATE', systemReads: true });
  await secureTable(db, 'audit_heads', { key: 'chain', appPrivileges: 'SELECT, INSERT, UPDATE', systemReads: true });
  await secureTable(db, 'audit_events', { key: 'chain', appPrivileges: 'SELECT, INSERT' });
}
