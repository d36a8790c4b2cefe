import type { Kysely } from 'kysely';

import { run, secureTable } from './support/secure-table.ts';

export async function up(db: Kysely<unknown>): Promise<void> {
  await run(
    db,
    `
    CREATE TABLE agents (
      workspace_id text NOT NULL,
      id uuid NOT NULL,
      name text NOT NULL,
      -- The name in lower case by Unicode rules: the server's collation would only fold ASCII.
      name_folded text NOT NULL,
      mode text NOT NULL CHECK (mode IN ('sandbox', 'governed')),
      status text NOT NULL CHECK (status IN ('stopped', 'starting', 'running', 'stopping', 'failed', 'quarantined')),
      spec_version integer NOT NULL,
      spec_hash text NOT NULL,
      capabilities text[] NOT NULL,
      managed boolean NOT NULL,
      desired_replicas integer NOT NULL DEFAULT 0,
      ready_replicas integer NOT NULL DEFAULT 0,
      expires_at timestamptz,
      since timestamptz NOT NULL,
      last_exit jsonb,
      proof_id uuid,
      -- { at, policyHash?, denies: [{ code, reason, severity }] }: set by a failed revalidation.
      invalidation jsonb,
      -- { at, by, reason }: set by POST …/quarantine or by an invalidation.
      quarantine jsonb,
      forked_from jsonb,
      version bigint NOT NULL DEFAULT 1,
      created_at timestamptz NOT NULL,
      created_by text NOT NULL,
      updated_at timestamptz NOT NULL,
      PRIMARY KEY (workspace_id, id),
      CHECK (mode = 'sandbox' OR expires_at IS NULL)
    );
    CREATE INDEX agents_by_mode ON agents (workspace_id, mode, id);
    CREATE INDEX agents_by_status ON agents (workspace_id, status, id);
    CREATE INDEX agents_invalidated ON agents (workspace_id, id) WHERE invalidation IS NOT NULL;
    CREATE INDEX agents_expiring ON agents (expires_at) WHERE status IN ('starting', 'running');
    CREATE INDEX agents_search ON agents USING gin (workspace_id, name_folded gin_trgm_ops);
    CREATE INDEX agents_capabilities ON agents USING gin (workspace_id, capabilities);

    -- The operators behind those two indexes are not leakproof, so row-level security keeps the planner from using
    -- them. This function reads as the owner and applies the caller's workspace itself.
    CREATE FUNCTION find_agents(
      p_search text, p_capability text, p_mode text, p_status text, p_after uuid, p_limit integer
    ) RETURNS SETOF uuid LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    DECLARE
      query text := 'SELECT id FROM agents WHERE workspace_id = $1';
    BEGIN
      IF p_search IS NOT NULL THEN query := query || ' AND name_folded LIKE $2'; END IF;
      IF p_capability IS NOT NULL THEN query := query || ' AND capabilities @> ARRAY[$3]'; END IF;
      IF p_mode IS NOT NULL THEN query := query || ' AND mode = $4'; END IF;
      IF p_status IS NOT NULL THEN query := query || ' AND status = $5'; END IF;
      IF p_after IS NOT NULL THEN query := query || ' AND id > $6'; END IF;
      RETURN QUERY EXECUTE query || ' ORDER BY id LIMIT $7'
        USING current_setting('castellan.workspace', true), p_search, p_capability, p_mode, p_status, p_after, p_limit;
    END $$;
    REVOKE ALL ON FUNCTION find_agents(text, text, text, text, uuid, integer) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION find_agents(text, text, text, text, uuid, integer) TO castellan_app;

    -- Which workspace an agent belongs to, for routes that name only the agent. Read by castellan_system.
    CREATE TABLE agent_directory (
      agent_id uuid PRIMARY KEY,
      workspace_id text NOT NULL
    );

    CREATE TABLE agent_specs (
      workspace_id text NOT NULL,
      agent_id uuid NOT NULL,
      version integer NOT NULL CHECK (version > 0),
      spec jsonb NOT NULL,
      -- The RFC 8785 bytes of the spec: what spec_hash covers and what a proof binds.
      spec_bytes bytea NOT NULL,
      spec_hash text NOT NULL CHECK (spec_hash ~ '^sha256:[0-9a-f]{64}$'),
      created_at timestamptz NOT NULL,
      created_by text NOT NULL,
      PRIMARY KEY (workspace_id, agent_id, version)
    );

    CREATE TABLE agent_proofs (
      workspace_id text NOT NULL,
      id uuid NOT NULL,
      agent_id uuid NOT NULL,
      envelope jsonb NOT NULL,
      spec_version integer NOT NULL,
      spec_hash text NOT NULL,
      policy_hash text NOT NULL,
      signer_id text NOT NULL,
      promotion_id uuid NOT NULL,
      previous_proof uuid,
      issued_at timestamptz NOT NULL,
      expires_at timestamptz NOT NULL,
      PRIMARY KEY (workspace_id, id)
    );
    CREATE INDEX agent_proofs_by_agent ON agent_proofs (workspace_id, agent_id, id);
    CREATE INDEX agent_proofs_by_expiry ON agent_proofs (expires_at);

    -- Exact totals per workspace, mode and status, kept by the rows' own transactions and never counted.
    CREATE TABLE agent_counts (
      workspace_id text NOT NULL,
      mode text NOT NULL,
      status text NOT NULL,
      n bigint NOT NULL CHECK (n >= 0),
      PRIMARY KEY (workspace_id, mode, status)
    );
    CREATE FUNCTION keep_agent_counts() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF TG_OP <> 'INSERT' THEN
        -- An edited count must not keep an agent from being stopped.
        UPDATE agent_counts SET n = greatest(n - 1, 0)
          WHERE workspace_id = OLD.workspace_id AND mode = OLD.mode AND status = OLD.status;
      END IF;
      IF TG_OP <> 'DELETE' THEN
        INSERT INTO agent_counts VALUES (NEW.workspace_id, NEW.mode, NEW.status, 1)
          ON CONFLICT (workspace_id, mode, status) DO UPDATE SET n = agent_counts.n + 1;
      END IF;
      RETURN NULL;
    END $$;
    CREATE TRIGGER agents_counted AFTER INSERT OR DELETE ON agents
      FOR EACH ROW EXECUTE FUNCTION keep_agent_counts();
    CREATE TRIGGER agents_recounted AFTER UPDATE OF workspace_id, mode, status ON agents
      FOR EACH ROW WHEN ((OLD.workspace_id, OLD.mode, OLD.status) IS DISTINCT FROM (NEW.workspace_id, NEW.mode, NEW.status))
      EXECUTE FUNCTION keep_agent_counts();
  `,
  );
  await secureTable(db, 'agents', {
    key: 'workspace_id',
    appPrivileges: 'SELECT, INSERT, UPDATE, DELETE',
    systemReads: true,
  });
  await secureTable(db, 'agent_directory', {
    key: 'workspace_id',
    appPrivileges: 'SELECT, INSERT, DELETE',
    systemReads: true,
  });
  await secureTable(db, 'agent_specs', { key: 'workspace_id', appPrivileges: 'SELECT, INSERT' });
  await secureTable(db, 'agent_proofs', { key: 'workspace_id', appPrivileges: 'SELECT, INSERT', systemReads: true });
  await secureTable(db, 'agent_counts', { key: 'workspace_id', appPrivileges: 'SELECT, INSERT, UPDATE' });
}
