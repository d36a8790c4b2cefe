import type { Kysely } from 'kysely';

import { run, secureTable } from './support/secure-table.ts';

/**
 * The log of chain checkpoints, the notes over it, and the full tiles of all trees. Written by functions of the owner only,
 * each under the one lock: whoever writes sees what the one before has committed.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await run(db, TABLES);
  await secureTable(db, 'audit_checkpoint_entries', { key: 'chain', appPrivileges: 'SELECT', systemReads: true });
  await secureTable(db, 'audit_checkpoint_chains', { key: 'chain', appPrivileges: 'SELECT', systemReads: true });
  await secureTable(db, 'audit_checkpoints', { key: "'_system'", appPrivileges: 'SELECT', systemReads: true });
  await secureTable(db, 'audit_tiles', { key: 'tree', appPrivileges: 'SELECT', systemReads: true });
  await run(db, FUNCTIONS);
  await run(
    db,
    SIGNATURES.map(
      (name) => `REVOKE ALL ON FUNCTION ${name} FROM PUBLIC; GRANT EXECUTE ON FUNCTION ${name} TO castellan_app;`,
    ).join('\n'),
  );
  await run(db, 'GRANT EXECUTE ON FUNCTION audit_leaf_hashes(text[], bigint[], bigint[]) TO castellan_system;');
}

const SIGNATURES = [
  'checkpoint_enter(bigint, text[], bigint[], bytea[], bytea[], bytea[], timestamptz)',
  'checkpoint_tiles(text[], integer[], bigint[], bytea[], bytea[])',
  'checkpoint_publish(bigint, text, text, timestamptz, timestamptz)',
  'checkpoint_cosign(bigint, timestamptz, text)',
];

const TABLES = `
  -- The global log: what each chain's tree was at some size, in the bytes that are its leaves.
  CREATE TABLE audit_checkpoint_entries (
    index bigint PRIMARY KEY CHECK (index >= 0),
    chain text NOT NULL,
    size bigint NOT NULL CHECK (size > 0),
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    entry bytea NOT NULL CHECK (octet_length(entry) <= 65535),
    created_at timestamptz NOT NULL,
    UNIQUE (chain, size)
  );

  -- Where the next round goes on: the compact range of each chain at its newest entry. Checked against the entry's root.
  CREATE TABLE audit_checkpoint_chains (
    chain text PRIMARY KEY,
    size bigint NOT NULL CHECK (size > 0),
    tree bytea NOT NULL
  );

  -- Signed notes (C2SP tlog-checkpoint) over the first size entries.
  CREATE TABLE audit_checkpoints (
    size bigint NOT NULL CHECK (size > 0),
    created_at timestamptz NOT NULL,
    note text NOT NULL,
    signer_id text NOT NULL,
    PRIMARY KEY (size, created_at)
  );

  -- Full tiles: 256 hashes each, of a chain's tree or ('*') of the global log; root: of these 256, a hash of the next level.
  CREATE TABLE audit_tiles (
    tree text NOT NULL,
    level integer NOT NULL CHECK (level BETWEEN 0 AND 6),
    index bigint NOT NULL CHECK (index >= 0),
    hashes bytea NOT NULL CHECK (octet_length(hashes) = 8192),
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    PRIMARY KEY (tree, level, index)
  );

  CREATE FUNCTION checkpoints_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
  END $$;
  -- Lines of witnesses may come behind a note; nothing else of it changes.
  CREATE FUNCTION checkpoint_notes_only_grow() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    IF starts_with(NEW.note, OLD.note) AND (NEW.size, NEW.created_at, NEW.signer_id) = (OLD.size, OLD.created_at, OLD.signer_id)
    THEN
      RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a note is never changed' USING ERRCODE = 'insufficient_privilege';
  END $$;
  ${['audit_checkpoint_entries', 'audit_tiles']
    .map(
      (table) => `CREATE TRIGGER ${table}_no_change BEFORE UPDATE OR DELETE ON ${table}
        FOR EACH ROW EXECUTE FUNCTION checkpoints_are_append_only();`,
    )
    .join('\n')}
  CREATE TRIGGER audit_checkpoints_no_delete BEFORE DELETE ON audit_checkpoints
    FOR EACH ROW EXECUTE FUNCTION checkpoints_are_append_only();
  CREATE TRIGGER audit_checkpoints_grow BEFORE UPDATE ON audit_checkpoints
    FOR EACH ROW EXECUTE FUNCTION checkpoint_notes_only_grow();
  ${['audit_checkpoint_entries', 'audit_tiles', 'audit_checkpoints']
    .map(
      (table) => `CREATE TRIGGER ${table}_no_truncate BEFORE TRUNCATE ON ${table}
        FOR EACH STATEMENT EXECUTE FUNCTION checkpoints_are_append_only();`,
    )
    .join('\n')}`;

const DEFINER = 'LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp';
/** One writer of the log at a time, whatever the replica. */
const LOCK = 'PERFORM pg_advisory_xact_lock(7205759405);';

const FUNCTIONS = `
  -- Entries behind the first p_after of the log. Fails with CA005 when another replica was faster, CA006 when one does not
  -- go on from its chain's newest entry.
  CREATE FUNCTION checkpoint_enter(
    p_after bigint, p_chains text[], p_sizes bigint[], p_roots bytea[], p_entries bytea[], p_trees bytea[], p_at timestamptz
  ) RETURNS void ${DEFINER} AS $$
  BEGIN
    ${LOCK}
    IF p_after <> (SELECT coalesce(max(index) + 1, 0) FROM audit_checkpoint_entries) THEN
      RAISE EXCEPTION 'the log has grown' USING ERRCODE = 'CA005';
    END IF;
    IF EXISTS (
      SELECT FROM unnest(p_chains, p_sizes) AS u(chain, size)
      WHERE size <= (SELECT max(e.size) FROM audit_checkpoint_entries e WHERE e.chain = u.chain)
    ) THEN
      RAISE EXCEPTION 'a chain does not go on from its newest entry' USING ERRCODE = 'CA006';
    END IF;
    INSERT INTO audit_checkpoint_entries (index, chain, size, root, entry, created_at)
    SELECT p_after + n - 1, chain, size, root, entry, p_at
    FROM unnest(p_chains, p_sizes, p_roots, p_entries) WITH ORDINALITY AS u(chain, size, root, entry, n);
    INSERT INTO audit_checkpoint_chains AS c (chain, size, tree)
    SELECT chain, size, tree FROM unnest(p_chains, p_sizes, p_trees) AS u(chain, size, tree)
    ON CONFLICT (chain) DO UPDATE SET size = excluded.size, tree = excluded.tree;
  END $$;

  -- Full tiles; one that is there already must be the same (CA006).
  CREATE FUNCTION checkpoint_tiles(
    p_trees text[], p_levels integer[], p_indexes bigint[], p_hashes bytea[], p_roots bytea[]
  ) RETURNS void ${DEFINER} AS $$
  BEGIN
    ${LOCK}
    INSERT INTO audit_tiles (tree, level, index, hashes, root)
    SELECT * FROM unnest(p_trees, p_levels, p_indexes, p_hashes, p_roots) ON CONFLICT DO NOTHING;
    IF EXISTS (
      SELECT FROM unnest(p_trees, p_levels, p_indexes, p_hashes) AS u(tree, level, index, hashes)
      WHERE NOT EXISTS (
        SELECT FROM audit_tiles t
        WHERE t.tree = u.tree AND t.level = u.level AND t.index = u.index AND t.hashes = u.hashes)
    ) THEN
      RAISE EXCEPTION 'a tile was written before with another content' USING ERRCODE = 'CA006';
    END IF;
  END $$;

  -- Stores the note unless there is one of more entries, or of as many that is not older than p_older_than. Fails with CA001
  -- when the signer is no checkpoint signer in force.
  CREATE FUNCTION checkpoint_publish(
    p_size bigint, p_note text, p_signer text, p_at timestamptz, p_older_than timestamptz
  ) RETURNS TABLE (stored boolean) ${DEFINER} AS $$
  BEGIN
    ${LOCK}
    IF NOT EXISTS (
      SELECT FROM signers WHERE signer_id = p_signer AND purpose = 'checkpoint' AND state IN ('active', 'retiring')
        AND (not_before IS NULL OR not_before <= p_at) AND (not_after IS NULL OR not_after > p_at)
    ) THEN
      RAISE EXCEPTION 'the checkpoint signer is not active in the registry' USING ERRCODE = 'CA001';
    END IF;
    IF EXISTS (
      SELECT FROM audit_checkpoints WHERE size > p_size OR (size = p_size AND created_at > p_older_than)
    ) THEN
      RETURN QUERY SELECT false;
      RETURN;
    END IF;
    INSERT INTO audit_checkpoints (size, created_at, note, signer_id) VALUES (p_size, p_at, p_note, p_signer);
    RETURN QUERY SELECT true;
  END $$;

  -- Adds the lines of a witness to a note, and returns it.
  CREATE FUNCTION checkpoint_cosign(p_size bigint, p_at timestamptz, p_lines text)
    RETURNS TABLE (note text) ${DEFINER} AS $$
  #variable_conflict use_column
  BEGIN
    ${LOCK}
    UPDATE audit_checkpoints SET note = note || p_lines
    WHERE size = p_size AND created_at = p_at AND strpos(note, p_lines) = 0;
    RETURN QUERY SELECT c.note FROM audit_checkpoints c WHERE c.size = p_size AND c.created_at = p_at;
  END $$;`;
