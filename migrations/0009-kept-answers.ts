import type { Kysely } from 'kysely';

import { run } from './support/secure-table.ts';

/** Answers of many requests with an Idempotency-Key in one statement, as migrations/0008-hot-paths.ts does for their changes. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await run(
    db,
    `
    -- p_counts[i] answers of workspace i, one list behind the other; digests in hex. Fails when one of the keys has an
    -- answer that is not over at p_now.
    CREATE FUNCTION keep_answers(
      p_workspaces text[], p_counts integer[], p_scopes text[], p_items text[], p_requests text[], p_statuses integer[],
      p_headers text[], p_bodies text[], p_expires timestamptz[], p_now timestamptz
    ) RETURNS void LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
    DECLARE
      start integer := 1;
      stop integer;
      kept integer;
    BEGIN
      FOR i IN 1 .. cardinality(p_workspaces) LOOP
        PERFORM set_config('castellan.workspace', p_workspaces[i], true);
        stop := start + p_counts[i] - 1;
        INSERT INTO idempotency_keys AS k (workspace_id, scope, item, request, status, headers, body, expires_at)
        SELECT p_workspaces[i], decode(a.scope, 'hex'), a.item, decode(a.request, 'hex'), a.status, a.headers::jsonb,
          a.body, a.expires
        FROM unnest(p_scopes[start:stop], p_items[start:stop], p_requests[start:stop], p_statuses[start:stop],
          p_headers[start:stop], p_bodies[start:stop], p_expires[start:stop])
          AS a(scope, item, request, status, headers, body, expires)
        ON CONFLICT (workspace_id, scope, item) DO UPDATE
          SET request = excluded.request, status = excluded.status, headers = excluded.headers, body = excluded.body,
            expires_at = excluded.expires_at
          WHERE k.expires_at <= p_now;
        GET DIAGNOSTICS kept = ROW_COUNT;
        IF kept <> p_counts[i] THEN
          RAISE EXCEPTION 'an answer is kept already' USING ERRCODE = 'CA004';
        END IF;
        start := stop + 1;
      END LOOP;
    END $$;
    REVOKE ALL ON FUNCTION
      keep_answers(text[], integer[], text[], text[], text[], integer[], text[], text[], timestamptz[], timestamptz)
      FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION
      keep_answers(text[], integer[], text[], text[], text[], integer[], text[], text[], timestamptz[], timestamptz)
      TO castellan_app;
  `,
  );
}
