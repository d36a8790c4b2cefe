import type { Kysely } from 'kysely';

import { run, secureTable } from './support/secure-table.ts';

/** Sandbox runs with their kept results, and which processes of the service are alive to end those they have begun. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await run(db, TABLES);
  await secureTable(db, 'sandbox_runs', {
    key: 'workspace_id',
    appPrivileges: 'SELECT, INSERT, UPDATE, DELETE',
    systemReads: true,
  });
  // Written by the function alone.
  await secureTable(db, 'sandbox_hosts', { key: "'_system'", appPrivileges: 'SELECT', systemReads: true });
  await run(db, FUNCTIONS);
  await run(db, DECISION_KINDS);
}

const TABLES = `
  CREATE TABLE sandbox_runs (
    workspace_id text NOT NULL,
    id uuid NOT NULL,
    agent_id uuid NOT NULL,
    spec_hash text NOT NULL,
    status text NOT NULL CHECK (status IN ('queued', 'running', 'passed', 'failed', 'killed', 'timeout', 'error')),
    -- The process that runs it, or will.
    owner uuid NOT NULL,
    commands jsonb NOT NULL CHECK (jsonb_typeof(commands) = 'array'),
    timeout_seconds integer NOT NULL CHECK (timeout_seconds BETWEEN 1 AND 900),
    limits jsonb NOT NULL,
    isolation jsonb NOT NULL,
    allow_domains text[] NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    trace_id text NOT NULL,
    started_at timestamptz,
    ended_at timestamptz,
    -- Who wants it to end before its time.
    cancelled_by text,
    -- Why it ended before its time.
    cause text,
    -- RFC 8785 bytes of what is kept of its commands, and of the decisions about its connections: what results_digest covers.
    results bytea,
    results_digest text CHECK (results_digest ~ '^sha256:[0-9a-f]{64}$'),
    PRIMARY KEY (workspace_id, id),
    CHECK ((ended_at IS NULL) = (status IN ('queued', 'running'))),
    CHECK ((results IS NULL) = (ended_at IS NULL) AND (results_digest IS NULL) = (ended_at IS NULL))
  );
  CREATE INDEX sandbox_runs_of_agent ON sandbox_runs (workspace_id, agent_id, id);
  CREATE INDEX sandbox_runs_open ON sandbox_runs (owner) WHERE status IN ('queued', 'running');
  CREATE INDEX sandbox_runs_by_end ON sandbox_runs (ended_at) WHERE ended_at IS NOT NULL;

  CREATE TABLE sandbox_hosts (
    instance uuid PRIMARY KEY,
    -- Where its process id means something: the same machine since its boot, and the same namespace of processes.
    place text,
    pid integer,
    beat_at timestamptz NOT NULL
  );`;

const FUNCTIONS = `
  -- By the database's clock, which all replicas share.
  CREATE FUNCTION sandbox_host_beat(p_instance uuid, p_place text, p_pid integer)
    RETURNS TABLE (at timestamptz) LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  #variable_conflict use_column
  BEGIN
    RETURN QUERY INSERT INTO sandbox_hosts AS h (instance, place, pid, beat_at)
      VALUES (p_instance, p_place, p_pid, clock_timestamp())
      ON CONFLICT (instance) DO UPDATE SET beat_at = excluded.beat_at
      RETURNING h.beat_at;
    DELETE FROM sandbox_hosts h WHERE h.beat_at < now() - interval '1 day';
  END $$;
  REVOKE ALL ON FUNCTION sandbox_host_beat(uuid, text, integer) FROM PUBLIC;
  GRANT EXECUTE ON FUNCTION sandbox_host_beat(uuid, text, integer) TO castellan_app;`;

/** Whatever kinds there are, a refused sandbox run is one more. */
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
      || replace(kinds, '''start''::text', '''start''::text, ''sandbox.run''::text');
  END $$;`;
