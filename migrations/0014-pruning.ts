import type { Kysely } from 'kysely';

import { run, secureTable } from './support/secure-table.ts';

/**
 * Old events may be removed behind a checkpoint: by castellan_maintenance, through one function, and nothing but what a
 * stored audit.pruned event approves. What the trees need of removed events stays: their leaf hashes.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await run(db, TABLES);
  await secureTable(db, 'audit_prunings', { key: 'chain', appPrivileges: 'SELECT, INSERT', systemReads: true });
  await run(db, FUNCTIONS);
  await run(db, TRIGGERS);
  await run(
    db,
    `
    ${[
      'audit_pruning_approved(text)',
      'audit_kept_leaves(text, bigint, bigint)',
      'audit_prunable()',
      'audit_prune(text, bigint, integer)',
    ]
      .map((name) => `REVOKE ALL ON FUNCTION ${name} FROM PUBLIC;`)
      .join('\n')}
    GRANT EXECUTE ON FUNCTION audit_prunable(), audit_prune(text, bigint, integer) TO castellan_maintenance;
    -- An export goes on past removed events by their hashes.
    GRANT EXECUTE ON FUNCTION audit_leaf_hashes(text[], bigint[], bigint[]) TO castellan_verifier;
  `,
  );
}

const TABLES = `
  -- A projection of the audit.pruned events, with what their bodies do not have: the leaf hashes of the events up to to_seq that
  -- share its tile, which may not be full yet. Nothing is deleted because of what stands here.
  CREATE TABLE audit_prunings (
    chain text NOT NULL,
    to_seq bigint NOT NULL CHECK (to_seq > 0),
    event_seq bigint NOT NULL CHECK (event_seq > to_seq),
    hash text NOT NULL CHECK (hash ~ '^[0-9a-f]{64}$'),
    tree bytea NOT NULL,
    leaves bytea NOT NULL CHECK (octet_length(leaves) = 32 * (to_seq % 256)),
    log_size bigint NOT NULL CHECK (log_size > 0),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (chain, to_seq)
  );`;

const DEFINER = 'LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp';

const FUNCTIONS = `
  -- Up to where the events of a chain may be removed: the furthest of its stored audit.pruned events that a published note
  -- covers, by what its body says; null without one. Signatures are for who verifies before.
  CREATE FUNCTION audit_pruning_approved(p_chain text) RETURNS bigint STABLE ${DEFINER} AS $$
  DECLARE
    covered bigint := (
      SELECT max(x.size) FROM audit_checkpoint_entries x
      WHERE x.chain = p_chain AND x.index < (SELECT max(size) FROM audit_checkpoints));
  BEGIN
    RETURN (
      SELECT max(a.upto) FROM (
        SELECT e.seq, (e.doc #>> '{payload,to}')::bigint AS upto
        FROM (
          SELECT x.seq, convert_from(x.body, 'UTF8')::jsonb AS doc FROM audit_events x
          WHERE x.chain = p_chain AND x.event_type = 'audit.pruned' AND x.signature IS NOT NULL
            AND encode(sha256(x.body), 'hex') = x.hash OFFSET 0
        ) e
        WHERE e.doc ->> 'eventType' = 'audit.pruned' AND e.doc ->> 'chain' = p_chain AND (e.doc ->> 'seq')::bigint = e.seq
          AND jsonb_typeof(e.doc #> '{payload,to}') = 'number' OFFSET 0
      ) a
      WHERE a.upto < a.seq AND a.upto <= covered
    );
  END $$;

  -- The leaf hashes of the events p_from to p_to that are known: of rows, and of removed events from what was kept of them.
  CREATE FUNCTION audit_kept_leaves(p_chain text, p_from bigint, p_to bigint) RETURNS bytea STABLE ${DEFINER} AS $$
  DECLARE
    pruned bigint := (SELECT max(to_seq) FROM audit_prunings WHERE chain = p_chain);
  BEGIN
    RETURN (
      SELECT coalesce(string_agg(coalesce(sha256('\\x00'::bytea || e.body), k.leaf, t.leaf), ''::bytea ORDER BY s.seq), ''::bytea)
      FROM generate_series(p_from, p_to) AS s(seq)
      LEFT JOIN audit_events e ON e.chain = p_chain AND e.seq = s.seq
      LEFT JOIN LATERAL (
        SELECT substring(x.leaves FROM (32 * ((s.seq - 1) % 256) + 1)::integer FOR 32) AS leaf FROM audit_prunings x
        WHERE e.body IS NULL AND x.chain = p_chain AND x.to_seq >= s.seq AND x.to_seq - x.to_seq % 256 < s.seq
        ORDER BY x.to_seq LIMIT 1
      ) k ON true
      LEFT JOIN LATERAL (
        SELECT substring(x.hashes FROM (32 * ((s.seq - 1) % 256) + 1)::integer FOR 32) AS leaf FROM audit_tiles x
        WHERE e.body IS NULL AND k.leaf IS NULL AND s.seq <= pruned
          AND x.tree = p_chain AND x.level = 0 AND x.index = (s.seq - 1) / 256
      ) t ON true
    );
  END $$;

  -- As before where no event is missing; else with what was kept of removed ones.
  CREATE OR REPLACE FUNCTION audit_leaf_hashes(p_chains text[], p_from bigint[], p_to bigint[])
    RETURNS TABLE (chain text, events integer, hashes bytea) LANGUAGE plpgsql STABLE
    SECURITY DEFINER SET search_path = public, pg_temp
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off
    SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off SET enable_memoize = off AS $$
  #variable_conflict use_column
  BEGIN
    RETURN QUERY SELECT f.chain, (octet_length(f.hashes) / 32)::integer, f.hashes FROM (
      SELECT u.chain, CASE WHEN h.events = u.last - u.first + 1
          OR NOT EXISTS (SELECT FROM audit_prunings p WHERE p.chain = u.chain AND p.to_seq >= u.first) THEN h.hashes
        ELSE audit_kept_leaves(u.chain, u.first, u.last) END AS hashes
      FROM unnest(p_chains, p_from, p_to) AS u(chain, first, last)
      CROSS JOIN LATERAL (
        SELECT count(*)::integer AS events,
          coalesce(string_agg(sha256('\\x00'::bytea || x.body), ''::bytea ORDER BY x.seq), ''::bytea) AS hashes
        FROM audit_events x WHERE x.chain = u.chain AND x.seq BETWEEN u.first AND u.last OFFSET 0) h
      OFFSET 0) f;
  END $$;

  -- Events that the service still rests on: for each policy version the one that binds it, so that it can be loaded or rolled
  -- back to, and those that the head names. With each of them what vouches for it if its signer was compromised, and the
  -- event up to which that does, whose hash it names; and with the one that vouches what vouches for that.
  CREATE FUNCTION audit_still_needed(p_chain text) RETURNS bigint[] STABLE ${DEFINER} AS $$
  DECLARE
    needed bigint[];
    vouching bigint[];
  BEGIN
    needed := ARRAY(
      SELECT u.seq FROM policy_heads h CROSS JOIN LATERAL (VALUES (h.activation_seq), (h.shadow_seq)) AS u(seq)
      WHERE h.workspace_id = p_chain AND u.seq IS NOT NULL
      UNION
      SELECT max(e.seq) FROM audit_events e
      JOIN policy_versions v ON v.workspace_id = e.chain AND v.hash = e.payload ->> 'policyHash'
      WHERE e.chain = p_chain AND e.event_type IN ('policy.activated', 'policy.rolledback', 'policy.shadowed')
      GROUP BY v.hash);
    LOOP
      -- The columns are projections that somebody may have edited: what is no number names nothing.
      vouching := ARRAY(
        SELECT DISTINCT u.seq FROM (
          SELECT x.seq, x.payload ->> 'signerId' AS signer_id,
            CASE WHEN x.payload ->> 'from' ~ '^[0-9]{1,15}$' THEN (x.payload ->> 'from')::bigint END AS first,
            CASE WHEN x.payload ->> 'to' ~ '^[0-9]{1,15}$' THEN (x.payload ->> 'to')::bigint END AS last
          FROM audit_events x WHERE x.chain = p_chain AND x.event_type = 'audit.range.reattested'
        ) r
        JOIN audit_events e ON e.chain = p_chain AND e.seq = ANY(needed)
          AND e.signer_id = r.signer_id AND e.seq BETWEEN r.first AND r.last
        CROSS JOIN LATERAL (VALUES (r.seq), (r.last)) AS u(seq)
        WHERE u.seq <> ALL(needed));
      EXIT WHEN cardinality(vouching) = 0;
      needed := needed || vouching;
    END LOOP;
    RETURN needed;
  END $$;
  REVOKE ALL ON FUNCTION audit_still_needed(text) FROM PUBLIC;

  -- Chains with an approval, and how many events may still be removed.
  CREATE FUNCTION audit_prunable() RETURNS TABLE (chain text, to_seq bigint, events bigint, held boolean) STABLE ${DEFINER} AS $$
  #variable_conflict use_column
  BEGIN
    RETURN QUERY SELECT a.chain, a.approved,
      (SELECT count(*) FROM audit_events e
        WHERE e.chain = a.chain AND e.seq <= a.approved AND e.seq <> ALL (a.needed)),
      EXISTS (SELECT FROM audit_holds h WHERE h.chain = a.chain)
    FROM (
      SELECT p.chain, audit_pruning_approved(p.chain) AS approved, audit_still_needed(p.chain) AS needed
      FROM (SELECT DISTINCT chain FROM audit_prunings) p OFFSET 0
    ) a
    WHERE a.approved IS NOT NULL ORDER BY a.chain;
  END $$;

  -- Removes the next events up to p_to that an approval names, oldest first, at most p_limit, with what people wrote in them;
  -- gives how many and up to which. Fails with CA020 without an approval that reaches so far, CA021 under a hold.
  CREATE FUNCTION audit_prune(p_chain text, p_to bigint, p_limit integer) RETURNS TABLE (deleted bigint, up_to bigint) ${DEFINER} AS $$
  DECLARE
    approved bigint;
    needed bigint[];
    due bigint[];
  BEGIN
    IF p_limit IS NULL OR p_limit NOT BETWEEN 1 AND 10000 THEN
      RAISE EXCEPTION 'a step removes 1 to 10000 events' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- A hold is placed under this lock.
    PERFORM FROM audit_heads WHERE chain = p_chain FOR UPDATE;
    IF EXISTS (SELECT FROM audit_holds h WHERE h.chain = p_chain) THEN
      RAISE EXCEPTION 'chain % is under a legal hold', p_chain USING ERRCODE = 'CA021';
    END IF;
    approved := audit_pruning_approved(p_chain);
    IF approved IS NULL OR p_to IS NULL OR p_to > approved THEN
      RAISE EXCEPTION 'no stored event approves this removal from chain %', p_chain USING ERRCODE = 'CA020';
    END IF;
    needed := audit_still_needed(p_chain);
    due := ARRAY(
      SELECT e.seq FROM audit_events e
      WHERE e.chain = p_chain AND e.seq <= p_to AND e.seq <> ALL (needed)
      ORDER BY e.seq LIMIT p_limit);
    -- Nobody could tell any more whose words they are.
    PERFORM audit_forget_revocations(p_chain, due);
    RETURN QUERY
    WITH personal AS (
      DELETE FROM audit_personal p WHERE p.chain = p_chain AND p.seq = ANY(due)
    ), gone AS (
      DELETE FROM audit_events e WHERE e.chain = p_chain AND e.seq = ANY(due) RETURNING e.seq
    )
    SELECT count(*), max(seq) FROM gone;
  END $$;`;

const TRIGGERS = `
  CREATE FUNCTION audit_events_only_pruned() RETURNS trigger ${DEFINER} AS $$
  BEGIN
    IF EXISTS (
      SELECT FROM (SELECT chain, max(seq) AS seq FROM gone GROUP BY chain) g
      WHERE current_setting('role') <> 'castellan_maintenance'
        OR g.seq > coalesce(audit_pruning_approved(g.chain), 0)
        OR EXISTS (SELECT FROM audit_holds h WHERE h.chain = g.chain)
    ) THEN
      RAISE EXCEPTION 'audit_events is append-only: DELETE refused' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NULL;
  END $$;
  DROP TRIGGER audit_events_no_change ON audit_events;
  CREATE TRIGGER audit_events_no_change BEFORE UPDATE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION audit_events_are_append_only();
  CREATE TRIGGER audit_events_only_pruned AFTER DELETE ON audit_events REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION audit_events_only_pruned();
  CREATE TRIGGER audit_prunings_no_change BEFORE UPDATE OR DELETE ON audit_prunings
    FOR EACH ROW EXECUTE FUNCTION checkpoints_are_append_only();
  CREATE TRIGGER audit_prunings_no_truncate BEFORE TRUNCATE ON audit_prunings
    FOR EACH STATEMENT EXECUTE FUNCTION checkpoints_are_append_only();`;
