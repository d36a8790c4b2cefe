import type { Kysely } from 'kysely';

import { run } from './support/secure-table.ts';

/** Answers of many requests with an Idempotency-Key in one statement, as migrations/0008-hot-paths.ts does for their changes. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await run(
    db,
    `
    -- Digests in hex. Fails when one of the keys has an answer that is not over at p_now.
    CREATE FUNCTION keep_answers(
      p_workspaces text[], p_scopes text[], p_items text[], p_requests text[], p_statuses integer[],
      p_headers text[], p_bodies text[], p_expires timestamptz[], p_now timestamptz
    ) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
      SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
    DECLARE
      kept integer;
    BEGIN
      INSERT INTO idempotency_keys AS k (workspace_id, scope, item, request, status, headers, body, expires_at)
      SELECT a.space, decode(a.scope, 'hex'), a.item, decode(a.request, 'hex'), a.status, a.headers::jsonb, a.body,
        a.expires
      FROM unnest(p_workspaces, p_scopes, p_items, p_requests, p_statuses, p_headers, p_bodies, p_expires)
        AS a(space, scope, item, request, status, headers, body, expires)
      ON CONFLICT (workspace_id, scope, item) DO UPDATE
        SET request = excluded.request, status = excluded.status, headers = excluded.headers, body = excluded.body,
          expires_at = excluded.expires_at
        WHERE k.expires_at <= p_now;
      GET DIAGNOSTICS kept = ROW_COUNT;
      IF kept <> cardinality(p_workspaces) THEN
        RAISE EXCEPTION 'an answer is kept already' USING ERRCODE = 'CA004';
      END IF;
    END $$;
    REVOKE ALL ON FUNCTION
      keep_answers(text[], text[], text[], text[], integer[], text[], text[], timestamptz[], timestamptz)
      FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION
      keep_answers(text[], text[], text[], text[], integer[], text[], text[], timestamptz[], timestamptz)
      TO castellan_app;
  `,
  );
}
