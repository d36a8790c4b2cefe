import type { Kysely } from 'kysely';

import { run } from './support/secure-table.ts';

/**
 * One signature over all events of a transaction: each row has the place of its event in the tree that was signed, and each
 * head the mode its newest signed events have.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await run(db, COLUMNS);
  await run(db, 'DROP FUNCTION audit_open(text[], boolean);');
  await run(
    db,
    'DROP FUNCTION audit_append(text[], bigint[], integer[], bigint[], bytea, integer[], text[], text, timestamptz[], bytea[]);',
  );
  await run(db, FUNCTIONS);
  await run(
    db,
    SIGNATURES.map(
      (name) => `REVOKE ALL ON FUNCTION ${name} FROM PUBLIC; GRANT EXECUTE ON FUNCTION ${name} TO castellan_app;`,
    ).join('\n'),
  );
}

const SIGNATURES = [
  'audit_open(text[], boolean)',
  'audit_append(text[], bigint[], integer[], bigint[], bytea, integer[], text[], text, timestamptz[], bytea[], bytea[])',
];

const COLUMNS = `
  -- Of mode batch: the event is leaf batch_index of batch_size, and batch_path is the way from there to the signed root
  -- (RFC 6962 §2.1.1), 32 bytes for each hash.
  ALTER TABLE audit_events
    ADD COLUMN batch_index integer,
    ADD COLUMN batch_size integer,
    ADD COLUMN batch_path bytea,
    ADD CONSTRAINT audit_events_batch_check CHECK (
      CASE WHEN sign_mode = 'batch'
        THEN num_nulls(batch_index, batch_size, batch_path) = 0 AND batch_index >= 0 AND batch_index < batch_size
          AND octet_length(batch_path) % 32 = 0
        ELSE num_nonnulls(batch_index, batch_size, batch_path) = 0 END);
  -- The mode that the last switch on the chain was to.
  ALTER TABLE audit_heads
    ADD COLUMN sign_mode text NOT NULL DEFAULT 'event' CHECK (sign_mode IN ('event', 'batch'));`;

/** As in 0008: one plan for the life of a connection, by key, since plans outlive the moment at which a table was small. */
const PLANNED = `SECURITY DEFINER SET search_path = public, pg_temp
  SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off
  SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off SET enable_memoize = off`;

// One event of the head's chain. Not by equality: on a table that was empty when the plan was made, any index that begins
// with the chain looks as good, but only the primary key comes in the order that is asked for.
function newest(value: string, seq: string): string {
  return `(SELECT ${value} FROM audit_events e
        WHERE e.chain = h.chain AND e.seq BETWEEN ${seq} AND ${seq} ORDER BY e.seq LIMIT 1)`;
}

const HEAD = 'x.chain, x.seq, x.hash, x.deferred_from, x.updated_at, x.tree, x.sign_mode';

const FUNCTIONS = `
  -- Takes the locks of chains, in the order given: whoever holds one owns the next position. Without p_wait a chain that
  -- another transaction holds is left out, as one that does not exist is.
  CREATE FUNCTION audit_open(p_chains text[], p_wait boolean)
    RETURNS TABLE (chain text, seq bigint, hash text, deferred_from bigint, updated_at timestamptz, tree bytea,
      sign_mode text)
    LANGUAGE plpgsql ${PLANNED} AS $$
  #variable_conflict use_column
  BEGIN
    IF p_wait THEN
      RETURN QUERY SELECT h.* FROM unnest(p_chains) AS u(chain) CROSS JOIN LATERAL (
        SELECT ${HEAD} FROM audit_heads x WHERE x.chain = u.chain FOR UPDATE) h;
    ELSE
      RETURN QUERY SELECT h.* FROM unnest(p_chains) AS u(chain) CROSS JOIN LATERAL (
        SELECT ${HEAD} FROM audit_heads x WHERE x.chain = u.chain FOR UPDATE SKIP LOCKED) h;
    END IF;
  END $$;

  -- Stores events behind the heads of chains and moves the heads over them: p_counts[i] events follow p_after[i] of chain
  -- i. All bodies come one behind the other; what the rows show beside them is read out of them. p_paths: all these events
  -- are the leaves of one signed tree, in this order, and these are their paths; NULL: each is signed by itself, or, without
  -- p_signer, not at all. Fails when the signer may not sign at this moment, when a body is not of these chains, or when a
  -- head is not where the caller saw it.
  CREATE FUNCTION audit_append(
    p_chains text[], p_after bigint[], p_counts integer[], p_deferred_from bigint[],
    p_bodies bytea, p_sizes integer[], p_signatures text[], p_signer text, p_at timestamptz[],
    p_trees bytea[], p_paths bytea[]
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
      signature, signer_id, sign_mode, batch_index, batch_size, batch_path)
    SELECT e.doc ->> 'chain', (e.doc ->> 'seq')::bigint, (e.doc ->> 'id')::uuid, e.doc ->> 'eventType',
      (e.doc ->> 'ts')::timestamptz, e.doc #>> '{actor,id}', e.doc #>> '{actor,kind}', e.doc -> 'payload', e.octets,
      encode(sha256(e.octets), 'hex'), e.doc ->> 'prevHash', e.signature, e.doc ->> 'signerId',
      CASE WHEN e.signature IS NULL THEN 'deferred' WHEN p_paths IS NULL THEN 'event' ELSE 'batch' END,
      CASE WHEN p_paths IS NOT NULL THEN e.n - 1 END, CASE WHEN p_paths IS NOT NULL THEN cardinality(p_sizes) END, e.path
    FROM (
      -- OFFSET 0: each body is read as JSON once, not once for each column.
      SELECT b.n, b.signature, b.path, b.octets, convert_from(b.octets, 'UTF8')::jsonb AS doc
      FROM (
        SELECT u.n::integer, u.signature, u.path,
          substring(p_bodies FROM (1 + sum(u.size) OVER (ORDER BY u.n))::integer - u.size FOR u.size) AS octets
        FROM unnest(p_sizes, p_signatures, p_paths) WITH ORDINALITY AS u(size, signature, path, n)
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
      tree = p_trees[array_position(p_chains, h.chain)],
      sign_mode = CASE WHEN p_signer IS NULL THEN h.sign_mode WHEN p_paths IS NULL THEN 'event' ELSE 'batch' END
    WHERE h.chain = ANY(p_chains) AND h.seq = p_after[array_position(p_chains, h.chain)]
      AND (h.seq = 0 OR h.hash = ${newest(
        "CASE WHEN encode(sha256(e.body), 'hex') = e.hash THEN e.hash END",
        'h.seq',
      )});
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved <> cardinality(p_chains) THEN
      RAISE EXCEPTION 'the head of a chain has moved' USING ERRCODE = 'CA002';
    END IF;
  END $$;`;
