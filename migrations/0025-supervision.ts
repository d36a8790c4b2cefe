import type { Kysely } from 'kysely';

import { run, secureTable } from './support/secure-table.ts';

/** Supervisors of agents, what each has claimed, and the output of agents. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await run(db, TABLES);
  await secureTable(db, 'supervisors', { key: "'_system'", appPrivileges: 'SELECT', systemReads: true });
  for (const [table, appPrivileges] of [
    ['agent_claims', 'SELECT'],
    ['agent_launches', 'SELECT, INSERT, DELETE'],
    ['agent_logs', 'SELECT, DELETE'],
    ['agent_log_heads', 'SELECT, DELETE'],
  ] as const) {
    await secureTable(db, table, { key: 'workspace_id', appPrivileges, systemReads: true });
  }
  await run(db, CHANGE_RUNS);
  await run(db, SUPERVISION);
  await run(db, LOGS);
  await run(db, LAUNCHES_IN_THE_LEDGER);
}

const TABLES = `
  ALTER TABLE agents
    -- Rises with every change of what is wanted of the agent, and never else.
    ADD COLUMN generation bigint NOT NULL DEFAULT 0,
    -- The generation of its last start: processes of an earlier one have no place any more.
    ADD COLUMN started_generation bigint NOT NULL DEFAULT 0,
    -- { id, kind, roles[] } of who started a managed agent: the actor of every launch that follows from it.
    ADD COLUMN started_by jsonb,
    -- Its processes get no time to end.
    ADD COLUMN stop_now boolean NOT NULL DEFAULT false;
  CREATE INDEX agents_supervised ON agents (workspace_id, id)
    WHERE managed AND status IN ('starting', 'running', 'stopping');

  -- One row for each process of the service that supervises agents; without a row it has no claims.
  CREATE TABLE supervisors (
    id uuid PRIMARY KEY,
    lease_until timestamptz NOT NULL,
    started_at timestamptz NOT NULL
  );

  -- Who alone may have processes of an agent.
  CREATE TABLE agent_claims (
    workspace_id text NOT NULL,
    agent_id uuid NOT NULL,
    supervisor_id uuid NOT NULL REFERENCES supervisors (id) ON DELETE CASCADE,
    -- Fencing: no two claims have the same, and a later one has a higher.
    token bigint NOT NULL,
    PRIMARY KEY (workspace_id, agent_id)
  );
  CREATE INDEX agent_claims_by_supervisor ON agent_claims (supervisor_id);
  CREATE SEQUENCE agent_claim_tokens;
  ALTER SEQUENCE agent_claim_tokens OWNED BY agent_claims.token;

  -- Launches that are in the audit, and whose end is not. One whose claim is gone is lost.
  CREATE TABLE agent_launches (
    workspace_id text NOT NULL,
    agent_id uuid NOT NULL,
    launch_id uuid NOT NULL,
    replica integer NOT NULL,
    -- Of the claim that it was made under.
    token bigint NOT NULL,
    PRIMARY KEY (workspace_id, agent_id, launch_id)
  );

  CREATE TABLE agent_logs (
    workspace_id text NOT NULL,
    agent_id uuid NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL,
    launch_id uuid NOT NULL,
    replica text NOT NULL,
    stream text NOT NULL CHECK (stream IN ('stdout', 'stderr')),
    text text NOT NULL,
    PRIMARY KEY (workspace_id, agent_id, id)
  );
  CREATE TABLE agent_log_heads (
    workspace_id text NOT NULL,
    agent_id uuid NOT NULL,
    -- Of the rows kept, with what a row costs besides its text.
    bytes bigint NOT NULL,
    -- Bytes of output that were never stored: more came than may be written.
    dropped bigint NOT NULL,
    PRIMARY KEY (workspace_id, agent_id)
  );`;

// As in 0008, with what supervisors go by.
const PLANNED = `SECURITY DEFINER SET search_path = public, pg_temp
  SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off
  SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off SET enable_memoize = off`;

const CHANGE_RUNS = `
  CREATE FUNCTION change_runs(
    p_workspaces text[], p_ids uuid[], p_statuses text[], p_desired integer[], p_ready integer[],
    p_managed boolean[], p_quarantines text[], p_at timestamptz[], p_started_by text[], p_now boolean[]
  ) RETURNS void LANGUAGE plpgsql ${PLANNED} AS $$
  DECLARE
    changed integer;
  BEGIN
    UPDATE agents a SET
      status = p_statuses[array_position(p_ids, a.id)],
      desired_replicas = p_desired[array_position(p_ids, a.id)],
      ready_replicas = p_ready[array_position(p_ids, a.id)],
      managed = coalesce(p_managed[array_position(p_ids, a.id)], a.managed),
      quarantine = coalesce(p_quarantines[array_position(p_ids, a.id)]::jsonb, a.quarantine),
      since = p_at[array_position(p_ids, a.id)],
      updated_at = p_at[array_position(p_ids, a.id)],
      version = a.version + 1,
      generation = a.generation + 1,
      started_generation = CASE WHEN p_statuses[array_position(p_ids, a.id)] IN ('starting', 'running')
        THEN a.generation + 1 ELSE a.started_generation END,
      started_by = coalesce(p_started_by[array_position(p_ids, a.id)]::jsonb, a.started_by),
      stop_now = p_now[array_position(p_ids, a.id)]
    WHERE a.workspace_id = ANY(p_workspaces) AND a.id = ANY(p_ids)
      AND a.workspace_id = p_workspaces[array_position(p_ids, a.id)];
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed <> cardinality(p_ids) THEN
      RAISE EXCEPTION 'an agent is gone' USING ERRCODE = 'CA003';
    END IF;
  END $$;
  -- For replicas of the release before, which go on until they are replaced: what they stop must stop.
  CREATE OR REPLACE FUNCTION change_runs(
    p_workspaces text[], p_ids uuid[], p_statuses text[], p_desired integer[], p_ready integer[],
    p_managed boolean[], p_quarantines text[], p_at timestamptz[]
  ) RETURNS void LANGUAGE plpgsql ${PLANNED} AS $$
  BEGIN
    PERFORM change_runs(p_workspaces, p_ids, p_statuses, p_desired, p_ready, p_managed, p_quarantines, p_at,
      ARRAY(SELECT NULL::text FROM unnest(p_ids)), ARRAY(SELECT false FROM unnest(p_ids)));
  END $$;
  REVOKE ALL ON FUNCTION change_runs(
    text[], uuid[], text[], integer[], integer[], boolean[], text[], timestamptz[], text[], boolean[]) FROM PUBLIC;
  GRANT EXECUTE ON FUNCTION change_runs(
    text[], uuid[], text[], integer[], integer[], boolean[], text[], timestamptz[], text[], boolean[]) TO castellan_app;`;

/** Each is one statement of one round trip; all of them go by the clock of the database. */
const SUPERVISION = `
  CREATE FUNCTION supervisor_enter(p_id uuid, p_lease_ms integer) RETURNS void
  LANGUAGE plpgsql ${PLANNED} AS $$
  BEGIN
    INSERT INTO supervisors VALUES (p_id, clock_timestamp() + p_lease_ms * interval '1 ms', clock_timestamp());
  END $$;

  -- Renews the lease, claims what nobody has, and gives all that is claimed, unless it is what p_known says. Without a
  -- lease it gives nothing. To one at a time it gives agents that nobody has and of which launches are lost (is_lost), too.
  -- p_found: agents that have processes all the same, which somebody has to end.
  CREATE FUNCTION supervisor_round(
    p_id uuid, p_lease_ms integer, p_known text, p_room integer, p_found_workspaces text[], p_found_ids uuid[]
  ) RETURNS TABLE (
    lease_ms integer, known text, workspace text, id uuid, token bigint, status text, desired integer, ready integer,
    generation bigint, started_generation bigint, started_by jsonb, is_urgent boolean, is_lost boolean
  ) LANGUAGE plpgsql ${PLANNED} AS $$
  #variable_conflict use_column
  DECLARE
    until timestamptz;
    digest text;
    is_alone boolean;
  BEGIN
    SELECT s.lease_until INTO until FROM supervisors s WHERE s.id = p_id AND s.lease_until > clock_timestamp();
    IF until IS NULL THEN RETURN; END IF;
    -- A row a second, however often it is asked.
    IF until < clock_timestamp() + (p_lease_ms - 900) * interval '1 ms' THEN
      UPDATE supervisors s SET lease_until = clock_timestamp() + p_lease_ms * interval '1 ms'
        WHERE s.id = p_id AND s.lease_until > clock_timestamp() RETURNING s.lease_until INTO until;
      IF NOT FOUND THEN RETURN; END IF;
    END IF;
    -- One at a time claims, so that what one finds free is free.
    is_alone := pg_try_advisory_xact_lock(7141, 25);
    IF is_alone THEN
      DELETE FROM supervisors s WHERE s.lease_until <= clock_timestamp();
      INSERT INTO agent_claims
      SELECT f.space, f.id, p_id, nextval('agent_claim_tokens')
      FROM (
        SELECT u.space, u.id FROM unnest(p_found_workspaces, p_found_ids) AS u(space, id)
        WHERE NOT EXISTS (SELECT FROM agent_claims c WHERE c.workspace_id = u.space AND c.agent_id = u.id)
        UNION
        SELECT n.workspace_id, n.id FROM (
          SELECT a.workspace_id, a.id, sum(a.desired_replicas) OVER (ORDER BY a.workspace_id, a.id) AS total
          FROM (
            SELECT x.workspace_id, x.id, x.desired_replicas FROM agents x
            WHERE x.managed AND x.status IN ('starting', 'running', 'stopping') AND x.desired_replicas <= p_room
              AND NOT EXISTS (SELECT FROM agent_claims c WHERE c.workspace_id = x.workspace_id AND c.agent_id = x.id)
            ORDER BY x.workspace_id, x.id LIMIT 64
          ) a
        ) n WHERE n.total <= p_room
      ) f
      ON CONFLICT DO NOTHING;
    END IF;
    -- Edited figures leave the version as it was.
    SELECT count(*) || ':' || coalesce(sum(hashtextextended(concat_ws(
        ' ', c.token, a.version, a.generation, a.status, a.desired_replicas, a.ready_replicas, agent_is_urgent(a)), 0)), 0)
      INTO digest
      FROM agent_claims c LEFT JOIN agents a ON a.workspace_id = c.workspace_id AND a.id = c.agent_id
      WHERE c.supervisor_id = p_id;
    lease_ms := floor(extract(epoch FROM until - clock_timestamp()) * 1000);
    known := digest;
    RETURN NEXT;
    IF is_alone THEN
      RETURN QUERY SELECT DISTINCT NULL::integer, NULL::text, f.workspace_id, f.agent_id, NULL::bigint, NULL::text,
          NULL::integer, NULL::integer, NULL::bigint, NULL::bigint, NULL::jsonb, NULL::boolean, true
        FROM (
          SELECT l.workspace_id, l.agent_id FROM agent_launches l
          WHERE NOT EXISTS (SELECT FROM agent_claims c WHERE c.workspace_id = l.workspace_id AND c.agent_id = l.agent_id)
          LIMIT 64
        ) f;
    END IF;
    IF digest = p_known THEN RETURN; END IF;
    RETURN QUERY SELECT NULL::integer, NULL::text, c.workspace_id, c.agent_id, c.token, a.status, a.desired_replicas,
        a.ready_replicas, a.generation, a.started_generation, a.started_by, agent_is_urgent(a), false
      FROM agent_claims c LEFT JOIN agents a ON a.workspace_id = c.workspace_id AND a.id = c.agent_id
      WHERE c.supervisor_id = p_id;
  END $$;

  -- Whether processes of the agent, if it has any, must end at once, whatever its run state says by now.
  CREATE FUNCTION agent_is_urgent(a agents) RETURNS boolean LANGUAGE plpgsql STABLE SET search_path = public, pg_temp AS $$
  BEGIN
    RETURN a.id IS NULL OR a.stop_now OR a.status IN ('quarantined', 'failed') OR a.invalidation IS NOT NULL
      OR coalesce(a.expires_at <= clock_timestamp(), false)
      OR EXISTS (SELECT FROM kill_switches k WHERE k.workspace_id IN ('_system', a.workspace_id) AND k.agent_id = '')
      OR EXISTS (SELECT FROM kill_switches k WHERE k.workspace_id = a.workspace_id AND k.agent_id = a.id::text)
      OR EXISTS (SELECT FROM workspaces w WHERE w.id = a.workspace_id AND w.state = 'suspended');
  END $$;

  -- How many replicas are ready, by those who hold the claims; with all of them an agent that starts runs. Gives the agents
  -- that it could look at: a row that another transaction holds is left for the next round.
  CREATE FUNCTION supervisor_report(
    p_id uuid, p_workspaces text[], p_ids uuid[], p_tokens bigint[], p_generations bigint[], p_ready integer[]
  ) RETURNS TABLE (workspace text, id uuid) LANGUAGE plpgsql ${PLANNED} AS $$
  #variable_conflict use_column
  BEGIN
    RETURN QUERY
    WITH held AS (
      SELECT u.space, u.id, u.ready, a.status, a.desired_replicas, a.ready_replicas
      FROM unnest(p_workspaces, p_ids, p_tokens, p_generations, p_ready) AS u(space, id, token, generation, ready)
      JOIN agent_claims c ON c.workspace_id = u.space AND c.agent_id = u.id AND c.token = u.token AND c.supervisor_id = p_id
      JOIN agents a ON a.workspace_id = u.space AND a.id = u.id AND a.generation = u.generation
      FOR UPDATE OF a SKIP LOCKED
    ), changed AS (
      UPDATE agents a SET
        ready_replicas = h.ready,
        status = CASE WHEN h.status = 'starting' AND h.ready >= h.desired_replicas THEN 'running' ELSE h.status END,
        since = CASE WHEN h.status = 'starting' AND h.ready >= h.desired_replicas THEN clock_timestamp() ELSE a.since END,
        updated_at = clock_timestamp(),
        version = a.version + 1
      FROM held h WHERE a.workspace_id = h.space AND a.id = h.id AND h.status IN ('starting', 'running')
        AND (h.ready <> h.ready_replicas OR (h.status = 'starting' AND h.ready >= h.desired_replicas))
    )
    SELECT h.space, h.id FROM held h;
  END $$;

  -- Gives back claims of agents that have no process any more: what was stopping has stopped. One that is wanted again
  -- stays claimed. Gives those that were let go.
  CREATE FUNCTION supervisor_release(p_id uuid, p_workspaces text[], p_ids uuid[], p_tokens bigint[])
  RETURNS TABLE (workspace text, id uuid) LANGUAGE plpgsql ${PLANNED} AS $$
  #variable_conflict use_column
  BEGIN
    RETURN QUERY
    WITH held AS (
      SELECT u.space, u.id, u.token, a.status
      FROM unnest(p_workspaces, p_ids, p_tokens) AS u(space, id, token)
      JOIN agent_claims c ON c.workspace_id = u.space AND c.agent_id = u.id AND c.token = u.token AND c.supervisor_id = p_id
      LEFT JOIN LATERAL (
        SELECT x.status FROM agents x WHERE x.workspace_id = u.space AND x.id = u.id FOR UPDATE SKIP LOCKED
      ) a ON true
      -- There is a row, and somebody else holds it just now.
      WHERE a.status IS NOT NULL OR NOT EXISTS (SELECT FROM agents x WHERE x.workspace_id = u.space AND x.id = u.id)
    ), stopped AS (
      UPDATE agents a SET
        status = CASE WHEN h.status = 'stopping' THEN 'stopped' ELSE h.status END,
        since = CASE WHEN h.status = 'stopping' THEN clock_timestamp() ELSE a.since END,
        desired_replicas = 0, ready_replicas = 0, updated_at = clock_timestamp(), version = a.version + 1
      FROM held h WHERE a.workspace_id = h.space AND a.id = h.id
        AND (h.status = 'stopping' OR (a.ready_replicas > 0 AND h.status NOT IN ('starting', 'running')))
    )
    DELETE FROM agent_claims c USING held h
      WHERE c.workspace_id = h.space AND c.agent_id = h.id AND c.token = h.token
        AND (h.status IS NULL OR h.status NOT IN ('starting', 'running'))
      RETURNING c.workspace_id, c.agent_id;
  END $$;

  -- The end of a supervisor that has no process any more: others may claim at once.
  CREATE FUNCTION supervisor_leave(p_id uuid, p_local boolean) RETURNS void LANGUAGE plpgsql ${PLANNED} AS $$
  BEGIN
    IF p_local THEN
      UPDATE agents a SET ready_replicas = 0, updated_at = clock_timestamp(), version = a.version + 1
        FROM agent_claims c
        WHERE c.supervisor_id = p_id AND a.workspace_id = c.workspace_id AND a.id = c.agent_id AND a.ready_replicas > 0;
    END IF;
    DELETE FROM supervisors s WHERE s.id = p_id;
  END $$;

  DO $$
  DECLARE
    signature text;
  BEGIN
    FOR signature IN SELECT p.oid::regprocedure FROM pg_proc p
      WHERE p.pronamespace = 'public'::regnamespace AND p.proname ~ '^supervisor_|^agent_is_urgent$'
    LOOP
      EXECUTE 'REVOKE ALL ON FUNCTION ' || signature || ' FROM PUBLIC';
      EXECUTE 'GRANT EXECUTE ON FUNCTION ' || signature || ' TO castellan_system';
    END LOOP;
  END $$;`;

const LOGS = `
  -- Stores pieces of output, all of them or none, and of each agent not more than p_limit bytes: the oldest go first.
  CREATE FUNCTION agent_logs_append(
    p_workspaces text[], p_ids uuid[], p_at timestamptz[], p_launches uuid[], p_replicas text[], p_streams text[],
    p_texts text[], p_dropped_workspaces text[], p_dropped_ids uuid[], p_dropped bigint[], p_limit bigint
  ) RETURNS void LANGUAGE plpgsql ${PLANNED} AS $$
  DECLARE
    head record;
    gone bigint;
  BEGIN
    -- What comes for an agent that was deleted meanwhile is nobody's.
    INSERT INTO agent_logs (workspace_id, agent_id, at, launch_id, replica, stream, text)
    SELECT u.space, u.id, u.at, u.launch, u.replica, u.stream, u.text
    FROM unnest(p_workspaces, p_ids, p_at, p_launches, p_replicas, p_streams, p_texts) WITH ORDINALITY
      AS u(space, id, at, launch, replica, stream, text, n)
    WHERE EXISTS (SELECT FROM agents a WHERE a.workspace_id = u.space AND a.id = u.id)
    ORDER BY u.n;
    FOR head IN
      INSERT INTO agent_log_heads AS h (workspace_id, agent_id, bytes, dropped)
      SELECT s.space, s.id, sum(s.bytes), sum(s.dropped) FROM (
        SELECT u.space, u.id, octet_length(u.text) + 64 AS bytes, 0 AS dropped
        FROM unnest(p_workspaces, p_ids, p_texts) AS u(space, id, text)
        UNION ALL
        SELECT d.space, d.id, 0, d.dropped
        FROM unnest(p_dropped_workspaces, p_dropped_ids, p_dropped) AS d(space, id, dropped)
      ) s
      WHERE EXISTS (SELECT FROM agents a WHERE a.workspace_id = s.space AND a.id = s.id)
      GROUP BY s.space, s.id ORDER BY s.space, s.id
      ON CONFLICT (workspace_id, agent_id) DO UPDATE
        SET bytes = h.bytes + excluded.bytes, dropped = h.dropped + excluded.dropped
      RETURNING h.workspace_id, h.agent_id, h.bytes
    LOOP
      WHILE head.bytes > p_limit LOOP
        WITH oldest AS (
          SELECT l.id FROM agent_logs l WHERE l.workspace_id = head.workspace_id AND l.agent_id = head.agent_id
          ORDER BY l.id LIMIT 16
        ), removed AS (
          DELETE FROM agent_logs l USING oldest o
          WHERE l.workspace_id = head.workspace_id AND l.agent_id = head.agent_id AND l.id = o.id
          RETURNING octet_length(l.text) + 64 AS bytes
        )
        SELECT coalesce(sum(r.bytes), 0) INTO gone FROM removed r;
        -- Nothing to remove: the count was edited.
        head.bytes := CASE WHEN gone = 0 THEN 0 ELSE head.bytes - gone END;
      END LOOP;
      UPDATE agent_log_heads h SET bytes = head.bytes
        WHERE h.workspace_id = head.workspace_id AND h.agent_id = head.agent_id AND h.bytes <> head.bytes;
    END LOOP;
  END $$;
  REVOKE ALL ON FUNCTION agent_logs_append(text[], uuid[], timestamptz[], uuid[], text[], text[], text[], text[], uuid[],
    bigint[], bigint) FROM PUBLIC;
  GRANT EXECUTE ON FUNCTION agent_logs_append(text[], uuid[], timestamptz[], uuid[], text[], text[], text[], text[], uuid[],
    bigint[], bigint) TO castellan_system;`;

/** Whatever kinds there are, launching is one more. */
const LAUNCHES_IN_THE_LEDGER = `
  DO $$
  DECLARE
    kinds text := (SELECT pg_get_constraintdef(oid) FROM pg_constraint
      WHERE conrelid = 'decisions'::regclass AND conname = 'decisions_kind_check');
  BEGIN
    IF strpos(kinds, '''start''::text') = 0 THEN
      RAISE EXCEPTION 'the kinds of decisions are not what they were: %', kinds;
    END IF;
    ALTER TABLE decisions DROP CONSTRAINT decisions_kind_check;
    EXECUTE 'ALTER TABLE decisions ADD CONSTRAINT decisions_kind_check '
      || replace(kinds, '''start''::text', '''start''::text, ''launch''::text');
  END $$;`;
