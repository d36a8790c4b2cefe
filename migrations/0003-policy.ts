import type { Kysely } from 'kysely';

import { run, secureTable } from './support/secure-table.ts';

export async function up(db: Kysely<unknown>): Promise<void> {
  await run(
    db,
    `
    CREATE TABLE policy_versions (
      workspace_id text NOT NULL,
      version integer NOT NULL CHECK (version > 0),
      policy_set text NOT NULL,
      hash text NOT NULL CHECK (hash ~ '^sha256:[0-9a-f]{64}$'),
      -- The RFC 8785 bytes of { policySet, modules, data } that the hash covers: the authority.
      bundle bytea NOT NULL,
      wasm bytea NOT NULL,
      wasm_sha256 text NOT NULL CHECK (wasm_sha256 ~ '^sha256:[0-9a-f]{64}$'),
      compiler_version text NOT NULL,
      packages text[] NOT NULL,
      created_at timestamptz NOT NULL,
      created_by text NOT NULL,
      reason text,
      PRIMARY KEY (workspace_id, version),
      UNIQUE (workspace_id, hash)
    );

    CREATE TABLE policy_heads (
      workspace_id text PRIMARY KEY,
      policy_set text NOT NULL,
      version integer NOT NULL,
      hash text NOT NULL,
      -- The signed policy.activated (or policy.rolledback) event that binds hash and wasm of the active version.
      activation_seq bigint NOT NULL,
      shadow_version integer,
      shadow_hash text,
      shadow_seq bigint,
      activated_at timestamptz NOT NULL,
      activated_by text NOT NULL,
      revision bigint NOT NULL,
      FOREIGN KEY (workspace_id, version) REFERENCES policy_versions (workspace_id, version),
      FOREIGN KEY (workspace_id, shadow_version) REFERENCES policy_versions (workspace_id, version)
    );

    CREATE TABLE revalidations (
      workspace_id text NOT NULL,
      id uuid NOT NULL,
      cause text NOT NULL CHECK (cause IN ('hotreload', 'rollback', 'request', 'renewal')),
      policy_hash text NOT NULL,
      -- NULL: every governed agent.
      agent_ids uuid[],
      state text NOT NULL CHECK (state IN ('running', 'done')),
      total integer NOT NULL,
      done integer NOT NULL DEFAULT 0,
      invalidated integer NOT NULL DEFAULT 0,
      after_id uuid,
      requested_by jsonb NOT NULL,
      lease_until timestamptz,
      leased_by text,
      created_at timestamptz NOT NULL,
      updated_at timestamptz NOT NULL,
      PRIMARY KEY (workspace_id, id)
    );
    CREATE INDEX revalidations_running ON revalidations (lease_until) WHERE state = 'running';
  `,
  );
  await secureTable(db, 'policy_versions', { key: 'workspace_id', appPrivileges: 'SELECT, INSERT' });
  await secureTable(db, 'policy_heads', {
    key: 'workspace_id',
    appPrivileges: 'SELECT, INSERT, UPDATE',
    systemReads: true,
  });
  await secureTable(db, 'revalidations', {
    key: 'workspace_id',
    appPrivileges: 'SELECT, INSERT, UPDATE',
    systemReads: true,
  });
}
