import type { Kysely } from 'kysely';

import { run, secureTable } from './support/secure-table.ts';

/**
 * What every start, stop and status runs through, as functions: few statements, each for many requests at once, planned
 * once per connection. A list names its workspaces row by row; the function enters each before it touches its rows, so
 * that row-level security holds as it does for one. All run as their caller. The planner is told to go by key: plans
 * outlive the moment at which a table was small.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await run(db, READS);
  await run(db, APPEND);
  await run(db, WRITES);
  await run(db, COUNTS);
  await run(db, SEARCH);
  await secureTable(db, 'agent_search', { key: 'workspace_id', appPrivileges: 'SELECT, INSERT, DELETE' });
  await run(
    db,
    FUNCTIONS.map(
      (name) => `REVOKE ALL ON FUNCTION ${name} FROM PUBLIC; GRANT EXECUTE ON FUNCTION ${name} TO castellan_app;`,
    ).join('\n'),
  );
  // Those of 0006, which were planned anew at every call.
  await run(db, 'DROP FUNCTION admission_subjects(text, uuid[]); DROP FUNCTION admission_fingerprints(text, uuid[]);');
}

const FUNCTIONS = [
  'agents_run_status(text[], integer[], uuid[])',
  'agents_admission_subjects(text[], integer[], uuid[])',
  'agents_admission_fingerprints(text[], integer[], uuid[])',
  'agents_run_states(text[], integer[], uuid[])',
  'audit_open(text[], boolean)',
  'audit_append(text[], bigint[], integer[], bigint[], bytea, integer[], text[], text, timestamptz[])',
  'change_runs(text[], integer[], uuid[], text[], integer[], integer[], boolean[], text[], timestamptz[])',
  'record_decisions(text[], integer[], uuid[], uuid[], text[], text[], text[], timestamptz[], bigint[])',
];

/**
 * One plan for the life of a connection, by key: a plan made anew for each list of ids costs many times its execution, and
 * one that was made while a table was small must not read it from end to end when it is large.
 */
const PLANNED = `SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off
  SET enable_hashjoin = off SET enable_mergejoin = off`;

/**
 * A function over ids, p_counts[i] of workspace i, whose query runs once per workspace with its `ids`, after `first`. It is
 * STABLE, so that everything it reads is as of one moment.
 */
function byWorkspace(name: string, columns: string, query: string, variables = '', first = ''): string {
  return `
  CREATE FUNCTION ${name}(p_workspaces text[], p_counts integer[], p_ids uuid[])
  RETURNS TABLE (workspace text, ${columns}) LANGUAGE plpgsql STABLE ${PLANNED} AS $$
  #variable_conflict use_column
  DECLARE
    space text;
    ids uuid[];
    start integer := 1;
    ${variables}
  BEGIN
    FOR i IN 1 .. cardinality(p_workspaces) LOOP
      space := p_workspaces[i];
      ids := p_ids[start : start + p_counts[i] - 1];
      start := start + p_counts[i];
      PERFORM set_config('castellan.workspace', space, true);
      ${first}
      RETURN QUERY ${query};
    END LOOP;
  END $$;`;
}

// What the agents of a workspace have in common, read once for all of them. xmin names the transaction that wrote a row
// version, ctid its place: together they tell two writes of one transaction apart, and no writer, whatever it changes, can
// leave both as they were. Of the policy's head only what decides: its revision rises with every agent that is invalidated,
// and that is no reason to judge the others again.
const COMMON_VARIABLES = 'common record;';
const COMMON = `
      SELECT w.state, h.policy_set, h.version, h.hash, h.activation_seq, h.shadow_hash, concat_ws(' ', w.xmin, w.ctid,
          h.policy_set, h.version, h.hash, h.activation_seq, coalesce(h.shadow_hash, '-')) AS fingerprint
        INTO common
        FROM workspaces w JOIN policy_heads h ON h.workspace_id = w.id WHERE w.id = space;
      CONTINUE WHEN NOT FOUND;`;

// A head that was put back to an earlier activation names none: the chain knows of a later one.
const NEWEST_ACTIVATION = `
      IF common.activation_seq IS DISTINCT FROM GREATEST(
        (SELECT max(seq) FROM audit_events WHERE chain = space AND event_type = 'policy.activated'),
        (SELECT max(seq) FROM audit_events WHERE chain = space AND event_type = 'policy.rolledback')
      ) THEN
        common.activation_seq := NULL;
      END IF;`;

// OFFSET 0, here and below: without it the planner may read what belongs to the whole workspace once and look the agents up
// in that, which is cheap only as long as the workspace is small.
const EVER_PROVED = `(p.id IS NOT NULL OR EXISTS (
          SELECT FROM agent_proofs e WHERE e.workspace_id = a.workspace_id AND e.agent_id = a.id OFFSET 0))`;

const FINGERPRINT = `concat_ws(' ', a.xmin, a.ctid, common.fingerprint,
          coalesce(s.xmin::text, '-'), coalesce(s.ctid::text, '-'), coalesce(p.xmin::text, '-'),
          coalesce(p.ctid::text, '-'), coalesce(g.xmin::text, '-'), coalesce(g.ctid::text, '-'), ${EVER_PROVED})`;

// The signer is the one the envelope names and the column too: where the two differ there is no signer.
const AGENT_ROWS = `
        FROM agents a
        LEFT JOIN LATERAL (
          SELECT x.xmin, x.ctid, x.* FROM agent_specs x
          WHERE x.workspace_id = a.workspace_id AND x.agent_id = a.id AND x.version = a.spec_version OFFSET 0
        ) s ON true
        LEFT JOIN LATERAL (
          SELECT x.xmin, x.ctid, x.* FROM agent_proofs x
          WHERE x.workspace_id = a.workspace_id AND x.id = a.proof_id AND x.agent_id = a.id OFFSET 0
        ) p ON true
        LEFT JOIN signers g ON g.signer_id = p.signer_id AND g.signer_id = p.envelope #>> '{signatures,0,keyid}'
        WHERE a.workspace_id = space AND a.id = ANY(ids)`;

const SUBJECT_COLUMNS = `id uuid, mode text, status text, name text, expires_at timestamptz, desired_replicas integer,
    spec_version integer, spec_hash text, row_version bigint, invalidation jsonb, quarantine jsonb,
    spec_json jsonb, spec_bytes bytea, stored_spec_hash text,
    proof_id uuid, envelope jsonb, proof_spec_version integer, proof_spec_hash text, proof_policy_hash text,
    promotion_id uuid, proof_expires_at timestamptz, ever_proved boolean,
    signer_id text, alg text, public_key text, purpose text, signer_state text,
    not_before timestamptz, not_after timestamptz,
    policy_set text, policy_version integer, policy_hash text, activation_seq bigint, shadow_hash text,
    workspace_state text, fingerprint text`;

const READS = [
  byWorkspace(
    'agents_run_status',
    `id uuid, mode text, status text, managed boolean, desired_replicas integer, ready_replicas integer,
    since timestamptz, last_exit jsonb`,
    `SELECT space, a.id, a.mode, a.status, a.managed, a.desired_replicas, a.ready_replicas, a.since, a.last_exit
        FROM agents a WHERE a.workspace_id = space AND a.id = ANY(ids)`,
  ),
  byWorkspace(
    'agents_run_states',
    'id uuid, status text, managed boolean, expires_at timestamptz',
    `SELECT space, a.id, a.status, a.managed, a.expires_at
        FROM agents a WHERE a.workspace_id = space AND a.id = ANY(ids)`,
  ),
  byWorkspace(
    'agents_admission_subjects',
    SUBJECT_COLUMNS,
    `SELECT space, a.id, a.mode, a.status, a.name, a.expires_at, a.desired_replicas, a.spec_version, a.spec_hash,
          a.version, a.invalidation, a.quarantine, s.spec, s.spec_bytes, s.spec_hash,
          p.id, p.envelope, p.spec_version, p.spec_hash, p.policy_hash, p.promotion_id, p.expires_at, ${EVER_PROVED},
          g.signer_id, g.alg, g.public_key, g.purpose, g.state, g.not_before, g.not_after,
          common.policy_set, common.version, common.hash, common.activation_seq, common.shadow_hash, common.state,
          ${FINGERPRINT}
        ${AGENT_ROWS} ORDER BY a.id`,
    COMMON_VARIABLES,
    COMMON + NEWEST_ACTIVATION,
  ),
  byWorkspace(
    'agents_admission_fingerprints',
    'id uuid, fingerprint text, policy_hash text',
    `SELECT space, a.id, ${FINGERPRINT}, common.hash ${AGENT_ROWS}`,
    COMMON_VARIABLES,
    COMMON,
  ),
].join('\n');

const APPEND = `
  -- Takes the locks of chains, in the order given: whoever holds one owns the next position. Without p_wait a chain that
  -- another transaction holds is left out, as one that does not exist is.
  CREATE FUNCTION audit_open(p_chains text[], p_wait boolean)
    RETURNS TABLE (chain text, seq bigint, hash text, deferred_from bigint, updated_at timestamptz) LANGUAGE plpgsql ${PLANNED} AS $$
  #variable_conflict use_column
  DECLARE
    name text;
  BEGIN
    FOREACH name IN ARRAY p_chains LOOP
      PERFORM set_config('castellan.workspace', name, true);
      IF p_wait THEN
        RETURN QUERY SELECT h.chain, h.seq, h.hash, h.deferred_from, h.updated_at
          FROM audit_heads h WHERE h.chain = name FOR UPDATE;
      ELSE
        RETURN QUERY SELECT h.chain, h.seq, h.hash, h.deferred_from, h.updated_at
          FROM audit_heads h WHERE h.chain = name FOR UPDATE SKIP LOCKED;
      END IF;
    END LOOP;
  END $$;

  -- Stores events behind the heads of chains and moves the heads over them: p_counts[i] events follow p_after[i] of chain
  -- i. All bodies come one behind the other; what the rows show beside them is read out of them. Fails when the signer
  -- may not sign at this moment, or when a head is not where the caller saw it.
  CREATE FUNCTION audit_append(
    p_chains text[], p_after bigint[], p_counts integer[], p_deferred_from bigint[],
    p_bodies bytea, p_sizes integer[], p_signatures text[], p_signer text, p_at timestamptz[]
  ) RETURNS void LANGUAGE plpgsql ${PLANNED} AS $$
  DECLARE
    event integer := 0;
    start integer := 1;
    stop integer;
    head_hash text;
  BEGIN
    FOR i IN 1 .. cardinality(p_chains) LOOP
      PERFORM set_config('castellan.workspace', p_chains[i], true);
      IF p_signer IS NOT NULL AND NOT EXISTS (
        SELECT FROM signers WHERE signer_id = p_signer AND purpose = 'audit' AND state IN ('active', 'retiring')
          AND (not_before IS NULL OR not_before <= p_at[i]) AND (not_after IS NULL OR not_after > p_at[i])
      ) THEN
        RAISE EXCEPTION 'the audit signer is not active in the registry' USING ERRCODE = 'CA001';
      END IF;
      stop := event + p_counts[i];
      INSERT INTO audit_events (chain, seq, id, event_type, ts, actor_id, actor_kind, payload, body, hash, prev_hash,
        signature, signer_id, sign_mode)
      SELECT p_chains[i], p_after[i] + e.n, (e.doc ->> 'id')::uuid, e.doc ->> 'eventType', (e.doc ->> 'ts')::timestamptz,
        e.doc #>> '{actor,id}', e.doc #>> '{actor,kind}', e.doc -> 'payload', e.octets, encode(sha256(e.octets), 'hex'),
        e.doc ->> 'prevHash', e.signature, e.doc ->> 'signerId',
        CASE WHEN e.signature IS NULL THEN 'deferred' ELSE 'event' END
      FROM (
        -- OFFSET 0: each body is read as JSON once, not once for each column.
        SELECT b.n, b.signature, b.octets, convert_from(b.octets, 'UTF8')::jsonb AS doc
        FROM (
          SELECT u.n, u.signature,
            substring(p_bodies FROM (start + sum(u.size) OVER so_far)::integer - u.size FOR u.size) AS octets
          FROM unnest(p_sizes[event + 1 : stop], p_signatures[event + 1 : stop]) WITH ORDINALITY AS u(size, signature, n)
          WINDOW so_far AS (ORDER BY u.n)
        ) b OFFSET 0
      ) e;
      start := start + (SELECT sum(size) FROM unnest(p_sizes[event + 1 : stop]) AS size);
      event := stop;
      head_hash := encode(sha256(substring(p_bodies FROM start - p_sizes[event] FOR p_sizes[event])), 'hex');
      -- The head must be the event it says it is: behind one that was edited there would be a gap, signed by us.
      UPDATE audit_heads h SET seq = p_after[i] + p_counts[i], hash = head_hash, deferred_from = p_deferred_from[i],
        updated_at = p_at[i]
      WHERE h.chain = p_chains[i] AND h.seq = p_after[i] AND (p_after[i] = 0 OR EXISTS (
        SELECT FROM audit_events e WHERE e.chain = p_chains[i] AND e.seq = p_after[i] AND e.hash = h.hash
          AND encode(sha256(e.body), 'hex') = h.hash));
      IF NOT FOUND THEN
        RAISE EXCEPTION 'the head of a chain has moved' USING ERRCODE = 'CA002';
      END IF;
    END LOOP;
  END $$;`;

const WRITES = `
  -- New run states: p_counts[i] agents of workspace i, one list behind the other. NULL leaves managed and quarantine as they
  -- are. Fails unless every agent is there. Found by key, and the new values by place: a join would be planned by sizes.
  CREATE FUNCTION change_runs(
    p_workspaces text[], p_counts integer[], p_ids uuid[], p_statuses text[], p_desired integer[], p_ready integer[],
    p_managed boolean[], p_quarantines text[], p_at timestamptz[]
  ) RETURNS void LANGUAGE plpgsql ${PLANNED} AS $$
  DECLARE
    start integer := 1;
    ids uuid[];
    changed integer;
  BEGIN
    FOR i IN 1 .. cardinality(p_workspaces) LOOP
      PERFORM set_config('castellan.workspace', p_workspaces[i], true);
      ids := p_ids[start : start + p_counts[i] - 1];
      UPDATE agents a SET
        status = p_statuses[start - 1 + array_position(ids, a.id)],
        desired_replicas = p_desired[start - 1 + array_position(ids, a.id)],
        ready_replicas = p_ready[start - 1 + array_position(ids, a.id)],
        managed = coalesce(p_managed[start - 1 + array_position(ids, a.id)], a.managed),
        quarantine = coalesce(p_quarantines[start - 1 + array_position(ids, a.id)]::jsonb, a.quarantine),
        since = p_at[start - 1 + array_position(ids, a.id)],
        updated_at = p_at[start - 1 + array_position(ids, a.id)],
        version = a.version + 1
      WHERE a.workspace_id = p_workspaces[i] AND a.id = ANY(ids);
      GET DIAGNOSTICS changed = ROW_COUNT;
      IF changed <> p_counts[i] THEN
        RAISE EXCEPTION 'an agent is gone' USING ERRCODE = 'CA003';
      END IF;
      start := start + p_counts[i];
    END LOOP;
  END $$;

  -- Rows of the ledger, p_counts[i] of workspace i. p_facts: what they say of themselves, as one jsonb text each.
  CREATE FUNCTION record_decisions(
    p_workspaces text[], p_counts integer[], p_ids uuid[], p_agents uuid[], p_kinds text[], p_effects text[],
    p_facts text[], p_at timestamptz[], p_seqs bigint[]
  ) RETURNS void LANGUAGE plpgsql ${PLANNED} AS $$
  DECLARE
    start integer := 1;
    stop integer;
  BEGIN
    FOR i IN 1 .. cardinality(p_workspaces) LOOP
      PERFORM set_config('castellan.workspace', p_workspaces[i], true);
      stop := start + p_counts[i] - 1;
      INSERT INTO decisions (workspace_id, id, kind, agent_id, action, effect, tier, codes, reasons, actor_id, actor_kind,
        policy_hash, spec_hash, shadow, trace_id, audit_seq, created_at)
      SELECT p_workspaces[i], d.id, d.kind, d.agent, 'agent.' || d.kind, d.effect, (d.facts ->> 'tier')::smallint,
        ARRAY(SELECT jsonb_array_elements_text(d.facts -> 'codes')), d.facts -> 'reasons', d.facts ->> 'actorId',
        d.facts ->> 'actorKind', d.facts ->> 'policyHash', d.facts ->> 'specHash', d.facts -> 'shadow',
        d.facts ->> 'traceId', d.seq, d.at
      FROM (
        SELECT u.id, u.agent, u.kind, u.effect, u.facts::jsonb AS facts, u.at, u.seq
        FROM unnest(p_ids[start:stop], p_agents[start:stop], p_kinds[start:stop], p_effects[start:stop],
          p_facts[start:stop], p_at[start:stop], p_seqs[start:stop]) AS u(id, agent, kind, effect, facts, at, seq)
        OFFSET 0
      ) d;
      start := stop + 1;
    END LOOP;
  END $$;`;

// Once a statement instead of once a row: a batch of starts moves two counts.
function moveCounts(moves: string): string {
  // An edited count must not keep an agent from being stopped.
  return `
      WITH moved AS MATERIALIZED (${moves}),
      changed AS (
        UPDATE agent_counts c SET n = greatest(c.n + m.n, 0) FROM moved m
        WHERE c.workspace_id = m.workspace_id AND c.mode = m.mode AND c.status = m.status
        RETURNING c.workspace_id, c.mode, c.status
      )
      INSERT INTO agent_counts AS c (workspace_id, mode, status, n)
        SELECT m.workspace_id, m.mode, m.status, m.n FROM moved m
        WHERE m.n > 0 AND (m.workspace_id, m.mode, m.status) NOT IN (SELECT workspace_id, mode, status FROM changed)
        ON CONFLICT (workspace_id, mode, status) DO UPDATE SET n = c.n + excluded.n;`;
}

const COUNTS = `
  DROP TRIGGER agents_counted ON agents;
  DROP TRIGGER agents_recounted ON agents;
  DROP FUNCTION keep_agent_counts();
  CREATE FUNCTION keep_agent_counts() RETURNS trigger LANGUAGE plpgsql ${PLANNED} AS $$
  BEGIN
    IF TG_OP = 'INSERT' THEN
      ${moveCounts('SELECT workspace_id, mode, status, count(*) AS n FROM after GROUP BY 1, 2, 3')}
    ELSIF TG_OP = 'DELETE' THEN
      ${moveCounts('SELECT workspace_id, mode, status, -count(*) AS n FROM before GROUP BY 1, 2, 3')}
    ELSE
      ${moveCounts(`
        SELECT workspace_id, mode, status, sum(k) AS n
        FROM (
          SELECT workspace_id, mode, status, -1 AS k FROM before
          UNION ALL SELECT workspace_id, mode, status, 1 FROM after
        ) sides GROUP BY 1, 2, 3 HAVING sum(k) <> 0`)}
    END IF;
    RETURN NULL;
  END $$;
  CREATE TRIGGER agents_inserted AFTER INSERT ON agents REFERENCING NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION keep_agent_counts();
  CREATE TRIGGER agents_deleted AFTER DELETE ON agents REFERENCING OLD TABLE AS before
    FOR EACH STATEMENT EXECUTE FUNCTION keep_agent_counts();
  CREATE TRIGGER agents_changed AFTER UPDATE ON agents REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION keep_agent_counts();`;

// What agents are searched by, apart from what changes with every start: an index of trigrams is the dearest to keep.
const SEARCH = `
  CREATE TABLE agent_search (
    workspace_id text NOT NULL,
    agent_id uuid NOT NULL,
    name_folded text NOT NULL,
    capabilities text[] NOT NULL,
    PRIMARY KEY (workspace_id, agent_id)
  );
  INSERT INTO agent_search SELECT workspace_id, id, name_folded, capabilities FROM agents;
  DROP INDEX agents_search;
  DROP INDEX agents_capabilities;
  CREATE INDEX agent_search_name ON agent_search USING gin (workspace_id, name_folded gin_trgm_ops);
  CREATE INDEX agent_search_capabilities ON agent_search USING gin (workspace_id, capabilities);
  CREATE FUNCTION keep_agent_search() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    IF TG_OP <> 'INSERT' THEN
      DELETE FROM agent_search WHERE workspace_id = OLD.workspace_id AND agent_id = OLD.id;
    END IF;
    IF TG_OP <> 'DELETE' THEN
      INSERT INTO agent_search VALUES (NEW.workspace_id, NEW.id, NEW.name_folded, NEW.capabilities);
    END IF;
    RETURN NULL;
  END $$;
  CREATE TRIGGER agents_found AFTER INSERT OR DELETE ON agents FOR EACH ROW EXECUTE FUNCTION keep_agent_search();
  CREATE TRIGGER agents_found_anew AFTER UPDATE OF workspace_id, id, name_folded, capabilities ON agents FOR EACH ROW
    EXECUTE FUNCTION keep_agent_search();

  CREATE OR REPLACE FUNCTION find_agents(
    p_search text, p_capability text, p_mode text, p_status text, p_after uuid, p_limit integer
  ) RETURNS SETOF uuid LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  DECLARE
    query text := 'SELECT a.id FROM agents a';
  BEGIN
    IF p_search IS NOT NULL OR p_capability IS NOT NULL THEN
      query := query || ' JOIN agent_search s ON s.workspace_id = $1 AND s.agent_id = a.id';
    END IF;
    query := query || ' WHERE a.workspace_id = $1';
    IF p_search IS NOT NULL THEN query := query || ' AND s.name_folded LIKE $2'; END IF;
    IF p_capability IS NOT NULL THEN query := query || ' AND s.capabilities @> ARRAY[$3]'; END IF;
    IF p_mode IS NOT NULL THEN query := query || ' AND a.mode = $4'; END IF;
    IF p_status IS NOT NULL THEN query := query || ' AND a.status = $5'; END IF;
    IF p_after IS NOT NULL THEN query := query || ' AND a.id > $6'; END IF;
    RETURN QUERY EXECUTE query || ' ORDER BY a.id LIMIT $7'
      USING current_setting('castellan.workspace', true), p_search, p_capability, p_mode, p_status, p_after, p_limit;
  END $$;`;
