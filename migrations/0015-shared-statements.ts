import type { Kysely } from 'kysely';

import { run, secureTable } from './support/secure-table.ts';

/** One signed statement over many agents: their proofs refer to it instead of holding it. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await run(db, STATEMENTS);
  await secureTable(db, 'proof_statements', { key: 'workspace_id', appPrivileges: 'SELECT, INSERT' });
  await run(db, READ);
  await run(db, SIGNER_OF_A_REFERENCE);
}

const STATEMENTS = `
  CREATE TABLE proof_statements (
    workspace_id text NOT NULL,
    -- Of the signed payload. Whoever reads the row hashes the payload again.
    digest text NOT NULL CHECK (digest ~ '^sha256:[0-9a-f]{64}$'),
    -- The DSSE envelope, to which agent_proofs.envelope = { "statement": digest } refers.
    envelope jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, digest)
  );`;

/** As the reads of 0008-hot-paths.ts: many of many workspaces in one call, each pair by key. */
const READ = `
  CREATE FUNCTION proof_statements_by_digest(p_workspaces text[], p_counts integer[], p_ids text[])
  RETURNS TABLE (workspace text, id text, envelope jsonb) LANGUAGE plpgsql STABLE
  SECURITY DEFINER SET search_path = public, pg_temp
  SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off
  SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off SET enable_memoize = off AS $$
  #variable_conflict use_column
  BEGIN
    RETURN QUERY SELECT w.space, s.digest, s.envelope
      FROM (
        SELECT u.space, u.count, (sum(u.count) OVER (ORDER BY u.n))::integer AS stop
        FROM unnest(p_workspaces, p_counts) WITH ORDINALITY AS u(space, count, n) OFFSET 0
      ) w
      CROSS JOIN LATERAL unnest(p_ids[w.stop - w.count + 1 : w.stop]) AS i(id)
      CROSS JOIN LATERAL (
        SELECT x.digest, x.envelope FROM proof_statements x
        WHERE x.workspace_id = w.space AND x.digest = i.id OFFSET 0
      ) s;
  END $$;
  REVOKE ALL ON FUNCTION proof_statements_by_digest(text[], integer[], text[]) FROM PUBLIC;
  GRANT EXECUTE ON FUNCTION proof_statements_by_digest(text[], integer[], text[]) TO castellan_app;`;

/**
 * What admission reads joins the signer that both the envelope and the column of a proof name. A reference names none: there
 * it is the column's, and the signature check compares it with the one that the statement names. All else of the functions
 * stays as it is.
 */
const SIGNER_OF_A_REFERENCE = `
  DO $$
  DECLARE
    named constant text := $named$x.signer_id = p.envelope #>> '{signatures,0,keyid}'$named$;
    name text;
    definition text;
  BEGIN
    FOREACH name IN ARRAY ARRAY['agents_admission_subjects', 'agents_admission_fingerprints'] LOOP
      definition := pg_get_functiondef((name || '(text[],integer[],uuid[])')::regprocedure);
      IF strpos(definition, named) = 0 THEN
        RAISE EXCEPTION 'the function % does not read signers as it did', name;
      END IF;
      EXECUTE replace(definition, named, '(' || named || $or$ OR p.envelope ? 'statement')$or$);
    END LOOP;
  END $$;`;
