import type { Kysely } from 'kysely';

import { run, secureTable } from './support/secure-table.ts';

/** Who is behind the ids of principals that come with tokens, apart from everything that has the id. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await run(db, TABLE);
  await secureTable(db, 'people', { key: "'_system'", appPrivileges: 'SELECT, DELETE' });
  await run(db, FUNCTION);
}

const TABLE = `
  CREATE TABLE people (
    id text PRIMARY KEY COLLATE "C" CHECK (id ~ '^(hu|sv)-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'),
    kind text NOT NULL CHECK (kind IN ('human', 'service')),
    issuer text NOT NULL CHECK (octet_length(issuer) BETWEEN 1 AND 2048),
    -- Characters; in UTF-8 each may take four bytes.
    subject text NOT NULL CHECK (octet_length(subject) BETWEEN 1 AND 1024),
    first_seen timestamptz NOT NULL DEFAULT now(),
    UNIQUE (subject, issuer, kind)
  );`;

const FUNCTION = `
  -- The id that the subject has; the proposed one where it has none yet.
  CREATE FUNCTION person_identify(p_id text, p_kind text, p_issuer text, p_subject text)
    RETURNS TABLE (id text) LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  #variable_conflict use_column
  BEGIN
    RETURN QUERY SELECT p.id FROM people p WHERE p.subject = p_subject AND p.issuer = p_issuer AND p.kind = p_kind;
    IF FOUND THEN
      RETURN;
    END IF;
    INSERT INTO people (id, kind, issuer, subject) VALUES (p_id, p_kind, p_issuer, p_subject)
      ON CONFLICT (subject, issuer, kind) DO NOTHING;
    -- Another replica may have been first.
    RETURN QUERY SELECT p.id FROM people p WHERE p.subject = p_subject AND p.issuer = p_issuer AND p.kind = p_kind;
  END $$;
  REVOKE ALL ON FUNCTION person_identify(text, text, text, text) FROM PUBLIC;
  GRANT EXECUTE ON FUNCTION person_identify(text, text, text, text) TO castellan_app;`;
