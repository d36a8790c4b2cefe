import type { Kysely } from 'kysely';

import { run, secureTable } from './support/secure-table.ts';

/**
 * What every start, stop and status runs through, as functions: one statement for many requests of many workspaces,
 * planned once per connection. Row-level security knows one workspace at a time, so these run as their owner, and it is
 * theirs to touch only the pairs of workspace and id they are given: each names both in every table it reads or writes. The
 * planner is told to go by key: plans outlive the moment at which a table was small.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await run(db, HASH_CHECKS);
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

// What 0001 asks for, in a form that costs a tenth: a repetition that is counted makes a regular expression dear, and these
// were a quarter of what an event costs to store.
const HASH_CHECKS = [
  ['audit_events', 'hash'],
  ['audit_events', 'prev_hash'],
  ['audit_heads', 'hash'],
]
  .map(
    ([table, column]) => `
      ALTER TABLE ${table} DROP CONSTRAINT ${table}_${column}_check,
        ADD CONSTRAINT ${table}_${column}_check CHECK (octet_length(${column}) = 64 AND ${column} ~ '^[0-9a-f]*$');`,
  )
  .join('\n');

const FUNCTIONS = [
  'agents_run_status(text[], integer[], uuid[])',
  'agents_admission_subjects(text[], integer[], uuid[])',
  'agents_admission_fingerprints(text[], integer[], uuid[])',
  'agents_run_states(text[], integer[], uuid[])',
  'audit_open(text[], boolean)',
  'audit_append(text[], bigint[], integer[], bigint[], bytea, integer[], text[], text, timestamptz[], bytea[])',
  'audit_leaf_hashes(text[], bigint[], bigint[])',
  'change_runs(text[], uuid[], text[], integer[], integer[], boolean[], text[], timestamptz[])',
  'record_decisions(text[], uuid[], uuid[], text[], text[], text[], timestamptz[], bigint[])',
];

/**
 * One plan for the life of a connection, by key: a plan made anew for each list of ids costs many times its execution, and
 * one that was made while a table was small must not read it from end to end when it is large.
 */
const PLANNED = `SECURITY DEFINER SET search_path = public, pg_temp
  SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off
  SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off SET enable_memoize = off`;

/**
 * A function over ids, p_counts[i] of workspace i. It is STABLE, so that everything it reads is as of one moment. OFFSET 0,
 * here and below: without it the planner may turn a look-up by key into a join from the other side.
 */
function overIds(name: string, columns: string, query: string): string {
  return `
  CREATE FUNCTION ${name}(p_workspaces text[], p_counts integer[], p_ids uuid[])
  RETURNS TABLE (workspace text, ${columns}) LANGUAGE plpgsql STABLE ${PLANNED} AS $$
  #variable_conflict use_column
  BEGIN
    RETURN QUERY ${query};
  END $$;`;
}

const WORKSPACES = `(
          SELECT u.space, u.count, (sum(u.count) OVER (ORDER BY u.n))::integer AS stop
          FROM unnest(p_workspaces, p_counts) WITH ORDINALITY AS u(space, count, n) OFFSET 0
        ) w`;
const IDS = 'CROSS JOIN LATERAL unnest(p_ids[w.stop - w.count + 1 : w.stop]) AS i(id)';
const AGENTS = `CROSS JOIN LATERAL (
          SELECT x.xmin, x.ctid, x.* FROM agents x WHERE x.workspace_id = w.space AND x.id = i.id OFFSET 0
        ) a`;

// What the agents of a workspace have in common, read once for all of them. xmin names the transaction that wrote a row
// version, ctid its place: together they tell two writes of one transaction apart, and no writer, whatever it changes, can
// leave both as they were. Of the policy's head only what decides: its revision rises with every agent that is invalidated,
// and that is no reason to judge the others again.
function common(activation: string): string {
  return `CROSS JOIN LATERAL (
          SELECT s.state, h.policy_set, h.version, h.hash, ${activation} AS activation_seq, h.shadow_hash,
            concat_ws(' ', s.xmin, s.ctid, h.policy_set, h.version, h.hash, h.activation_seq,
              coalesce(h.shadow_hash, '-')) AS fingerprint
          FROM (SELECT x.xmin, x.ctid, x.state FROM workspaces x WHERE x.id = w.space OFFSET 0) s,
            (SELECT * FROM policy_heads x WHERE x.workspace_id = w.space OFFSET 0) h OFFSET 0
        ) common`;
}

// A head that was put back to an earlier activation names none: the chain knows of a later one.
const NEWEST_ACTIVATION = `CASE WHEN h.activation_seq = GREATEST(
              (SELECT max(seq) FROM audit_events WHERE chain = w.space AND event_type = 'policy.activated'),
              (SELECT max(seq) FROM audit_events WHERE chain = w.space AND event_type = 'policy.rolledback')
            ) THEN h.activation_seq END`;

const EVER_PROVED = `(p.id IS NOT NULL OR EXISTS (
          SELECT FROM agent_proofs e WHERE e.workspace_id = a.workspace_id AND e.agent_id = a.id OFFSET 0))`;

const FINGERPRINT = `concat_ws(' ', a.xmin, a.ctid, common.fingerprint,
          coalesce(s.xmin::text, '-'), coalesce(s.ctid::text, '-'), coalesce(p.xmin::text, '-'),
          coalesce(p.ctid::text, '-'), coalesce(g.xmin::text, '-'), coalesce(g.ctid::text, '-'), ${EVER_PROVED})`;

// The signer is the one the envelope names and the column too: where the two differ there is no signer.
const AGENT_ROWS = `${IDS} ${AGENTS}
        LEFT JOIN LATERAL (
          SELECT x.xmin, x.ctid, x.* FROM agent_specs x
          WHERE x.workspace_id = a.workspace_id AND x.agent_id = a.id AND x.version = a.spec_version OFFSET 0
        ) s ON true
        LEFT JOIN LATERAL (
          SELECT x.xmin, x.ctid, x.* FROM agent_proofs x
          WHERE x.workspace_id = a.workspace_id AND x.id = a.proof_id AND x.agent_id = a.id OFFSET 0
        ) p ON true
        LEFT JOIN LATERAL (
          SELECT x.xmin, x.ctid, x.* FROM signers x
          WHERE x.signer_id = p.signer_id AND x.signer_id = p.envelope #>> '{signatures,0,keyid}' OFFSET 0
        ) g ON true`;

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
  overIds(
    'agents_run_status',
    `id uuid, mode text, status text, managed boolean, desired_replicas integer, ready_replicas integer,
    since timestamptz, last_exit jsonb`,
    `SELECT w.space, a.id, a.mode, a.status, a.managed, a.desired_replicas, a.ready_replicas, a.since, a.last_exit
        FROM ${WORKSPACES} ${IDS} ${AGENTS}`,
  ),
  overIds(
    'agents_run_states',
    'id uuid, status text, managed boolean, expires_at timestamptz',
    `SELECT w.space, a.id, a.status, a.managed, a.expires_at FROM ${WORKSPACES} ${IDS} ${AGENTS}`,
  ),
  overIds(
    'agents_admission_subjects',
    SUBJECT_COLUMNS,
    `SELECT w.space, a.id, a.mode, a.status, a.name, a.expires_at, a.desired_replicas, a.spec_version, a.spec_hash,
          a.version, a.invalidation, a.quarantine, s.spec, s.spec_bytes, s.spec_hash,
          p.id, p.envelope, p.spec_version, p.spec_hash, p.policy_hash, p.promotion_id, p.expires_at, ${EVER_PROVED},
          g.signer_id, g.alg, g.public_key, g.purpose, g.state, g.not_before, g.not_after,
          common.policy_set, common.version, common.hash, common.activation_seq, common.shadow_hash, common.state,
          ${FINGERPRINT}
        FROM ${WORKSPACES} ${common(NEWEST_ACTIVATION)} ${AGENT_ROWS}`,
  ),
  overIds(
    'agents_admission_fingerprints',
    'id uuid, fingerprint text, policy_hash text',
    `SELECT w.space, a.id, ${FINGERPRINT}, common.hash FROM ${WORKSPACES} ${common('NULL')} ${AGENT_ROWS}`,
  ),
].join('\n');

// One event of the head's chain. Not by equality: on a table that was empty when the plan was made, any index that begins
// with the chain looks as good, but only the primary key comes in the order that is asked for.
function newest(value: string, seq: string): string {
  return `(SELECT ${value} FROM audit_events e
        WHERE e.chain = h.chain AND e.seq BETWEEN ${seq} AND ${seq} ORDER BY e.seq LIMIT 1)`;
}

const APPEND = `
  -- The compact range of the Merkle tree over the bodies up to seq; NULL: not known, made from the rows by the next append.
  ALTER TABLE audit_heads ADD COLUMN tree bytea;

  -- Takes the locks of chains, in the order given: whoever holds one owns the next position. Without p_wait a chain that
  -- another transaction holds is left out, as one that does not exist is.
  CREATE FUNCTION audit_open(p_chains text[], p_wait boolean)
    RETURNS TABLE (chain text, seq bigint, hash text, deferred_from bigint, updated_at timestamptz, tree bytea)
    LANGUAGE plpgsql ${PLANNED} AS $$
  #variable_conflict use_column
  BEGIN
    IF p_wait THEN
      RETURN QUERY SELECT h.* FROM unnest(p_chains) AS u(chain) CROSS JOIN LATERAL (
        SELECT x.chain, x.seq, x.hash, x.deferred_from, x.updated_at, x.tree
        FROM audit_heads x WHERE x.chain = u.chain FOR UPDATE) h;
    ELSE
      RETURN QUERY SELECT h.* FROM unnest(p_chains) AS u(chain) CROSS JOIN LATERAL (
        SELECT x.chain, x.seq, x.hash, x.deferred_from, x.updated_at, x.tree
        FROM audit_heads x WHERE x.chain = u.chain FOR UPDATE SKIP LOCKED) h;
    END IF;
  END $$;

  -- Stores events behind the heads of chains and moves the heads over them: p_counts[i] events follow p_after[i] of chain
  -- i. All bodies come one behind the other; what the rows show beside them is read out of them. Fails when the signer
  -- may not sign at this moment, when a body is not of these chains, or when a head is not where the caller saw it.
  CREATE FUNCTION audit_append(
    p_chains text[], p_after bigint[], p_counts integer[], p_deferred_from bigint[],
    p_bodies bytea, p_sizes integer[], p_signatures text[], p_signer text, p_at timestamptz[],
    p_trees bytea[]
  ) RETURNS void LANGUAGE plpgsql ${PLANNED} AS $$
  DECLARE
    stored integer;
    moved integer;
  BEGIN
    IF p_signer IS NOT NULL AND NOT EXISTS (
      SELECT FROM signers WHERE signer_id = p_signer AND purpose = 'audit' AND state IN ('active', 'retiring')
        AND (not_before IS NULL OR not_before <= (SELECT min(at) FROM unnest(p_at) AS at))
        AND (not_after IS NULL OR not_after > (SELECT max(at) FROM unnest(p_at) AS at))
    ) THEN
      RAISE EXCEPTION 'the audit signer is not active in the registry' USING ERRCODE = 'CA001';
    END IF;
    INSERT INTO audit_events (chain, seq, id, event_type, ts, actor_id, actor_kind, payload, body, hash, prev_hash,
      signature, signer_id, sign_mode)
    SELECT e.doc ->> 'chain', (e.doc ->> 'seq')::bigint, (e.doc ->> 'id')::uuid, e.doc ->> 'eventType',
      (e.doc ->> 'ts')::timestamptz, e.doc #>> '{actor,id}', e.doc #>> '{actor,kind}', e.doc -> 'payload', e.octets,
      encode(sha256(e.octets), 'hex'), e.doc ->> 'prevHash', e.signature, e.doc ->> 'signerId',
      CASE WHEN e.signature IS NULL THEN 'deferred' ELSE 'event' END
    FROM (
      -- OFFSET 0: each body is read as JSON once, not once for each column.
      SELECT b.signature, b.octets, convert_from(b.octets, 'UTF8')::jsonb AS doc
      FROM (
        SELECT u.signature,
          substring(p_bodies FROM (1 + sum(u.size) OVER (ORDER BY u.n))::integer - u.size FOR u.size) AS octets
        FROM unnest(p_sizes, p_signatures) WITH ORDINALITY AS u(size, signature, n)
      ) b OFFSET 0
    ) e
    WHERE e.doc ->> 'chain' = ANY(p_chains);
    GET DIAGNOSTICS stored = ROW_COUNT;
    IF stored <> cardinality(p_sizes) THEN
      RAISE EXCEPTION 'an event of another chain' USING ERRCODE = 'CA002';
    END IF;
    -- The head must be the event it says it is: behind one that was edited there would be a gap, signed by us.
    UPDATE audit_heads h SET
      seq = h.seq + p_counts[array_position(p_chains, h.chain)],
      hash = ${newest('e.hash', 'h.seq + p_counts[array_position(p_chains, h.chain)]')},
      deferred_from = p_deferred_from[array_position(p_chains, h.chain)],
      updated_at = p_at[array_position(p_chains, h.chain)],
      tree = p_trees[array_position(p_chains, h.chain)]
    WHERE h.chain = ANY(p_chains) AND h.seq = p_after[array_position(p_chains, h.chain)]
      AND (h.seq = 0 OR h.hash = ${newest(
        "CASE WHEN encode(sha256(e.body), 'hex') = e.hash THEN e.hash END",
        'h.seq',
      )});
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved <> cardinality(p_chains) THEN
      RAISE EXCEPTION 'the head of a chain has moved' USING ERRCODE = 'CA002';
    END IF;
  END $$;

  -- RFC 6962 leaf hashes of the events p_from[i] to p_to[i] of chain i, one behind the other, and how many there are.
  CREATE FUNCTION audit_leaf_hashes(p_chains text[], p_from bigint[], p_to bigint[])
    RETURNS TABLE (chain text, events integer, hashes bytea) LANGUAGE plpgsql STABLE ${PLANNED} AS $$
  #variable_conflict use_column
  BEGIN
    RETURN QUERY SELECT u.chain, h.events, h.hashes FROM unnest(p_chains, p_from, p_to) AS u(chain, first, last)
      CROSS JOIN LATERAL (
        SELECT count(*)::integer AS events,
          coalesce(string_agg(sha256('\\x00'::bytea || x.body), ''::bytea ORDER BY x.seq), ''::bytea) AS hashes
        FROM audit_events x WHERE x.chain = u.chain AND x.seq BETWEEN u.first AND u.last OFFSET 0) h;
  END $$;`;

const WRITES = `
  -- New run states. NULL leaves managed and quarantine as they are. Fails unless every agent is there. Found by key, and
  -- the new values by place: a join would be planned by sizes.
  CREATE FUNCTION change_runs(
    p_workspaces text[], p_ids uuid[], p_statuses text[], p_desired integer[], p_ready integer[],
    p_managed boolean[], p_quarantines text[], p_at timestamptz[]
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
      version = a.version + 1
    WHERE a.workspace_id = ANY(p_workspaces) AND a.id = ANY(p_ids)
      AND a.workspace_id = p_workspaces[array_position(p_ids, a.id)];
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed <> cardinality(p_ids) THEN
      RAISE EXCEPTION 'an agent is gone' USING ERRCODE = 'CA003';
    END IF;
  END $$;

  -- Rows of the ledger. p_facts: what they say of themselves, as one jsonb text each.
  CREATE FUNCTION record_decisions(
    p_workspaces text[], p_ids uuid[], p_agents uuid[], p_kinds text[], p_effects text[],
    p_facts text[], p_at timestamptz[], p_seqs bigint[]
  ) RETURNS void LANGUAGE plpgsql ${PLANNED} AS $$
  BEGIN
    INSERT INTO decisions (workspace_id, id, kind, agent_id, action, effect, tier, codes, reasons, actor_id, actor_kind,
      policy_hash, spec_hash, shadow, trace_id, audit_seq, created_at)
    SELECT d.space, d.id, d.kind, d.agent, 'agent.' || d.kind, d.effect, (d.facts ->> 'tier')::smallint,
      ARRAY(SELECT jsonb_array_elements_text(d.facts -> 'codes')), d.facts -> 'reasons', d.facts ->> 'actorId',
      d.facts ->> 'actorKind', d.facts ->> 'policyHash', d.facts ->> 'specHash', d.facts -> 'shadow',
      d.facts ->> 'traceId', d.seq, d.at
    FROM (
      SELECT u.space, u.id, u.agent, u.kind, u.effect, u.facts::jsonb AS facts, u.at, u.seq
      FROM unnest(p_workspaces, p_ids, p_agents, p_kinds, p_effects, p_facts, p_at, p_seqs)
        AS u(space, id, agent, kind, effect, facts, at, seq)
      OFFSET 0
    ) d;
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
