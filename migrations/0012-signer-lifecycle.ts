import type { Kysely } from 'kysely';

import { run, secureTable } from './support/secure-table.ts';

/** The life of a signer: what it replaces, how far it is trusted, and the number of the registry's newest change. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await run(db, TABLES);
  await secureTable(db, 'signer_registry', { key: "'_system'", appPrivileges: 'SELECT, UPDATE', systemReads: true });
  await run(db, FUNCTIONS);
  await run(
    db,
    SIGNATURES.map(
      (name) => `REVOKE ALL ON FUNCTION ${name} FROM PUBLIC; GRANT EXECUTE ON FUNCTION ${name} TO castellan_app;`,
    ).join('\n'),
  );
}

const SIGNATURES = ['checkpoint_log_size(timestamptz)', 'signer_is_uncovered(text)'];

const TABLES = `
  ALTER TABLE signers
    -- Of a compromised signer: what it signed until then counts.
    ADD COLUMN trusted_up_to timestamptz,
    -- Sizes of the log of checkpoints: what it signed counts behind the one and up to the other.
    ADD COLUMN valid_from_size bigint CHECK (valid_from_size >= 0),
    ADD COLUMN valid_to_size bigint CHECK (valid_to_size >= 0),
    ADD COLUMN replaces text REFERENCES signers (signer_id),
    -- Of a transaction that began when it was out of force: when no older one is left, nobody signs with it any more.
    ADD COLUMN closing_xid xid8,
    ADD CHECK (trusted_up_to IS NULL OR state = 'compromised');

  -- One row: how many changes the registry has seen.
  CREATE TABLE signer_registry (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    version bigint NOT NULL CHECK (version >= 0)
  );
  INSERT INTO signer_registry (version) SELECT coalesce(sum(version), 0) FROM signers;

  -- Agents by who signed their proof, for the day that signer is no longer trusted.
  CREATE INDEX agent_proofs_by_signer ON agent_proofs (signer_id);
  ALTER TABLE revalidations DROP CONSTRAINT revalidations_cause_check;
  ALTER TABLE revalidations ADD CONSTRAINT revalidations_cause_check
    CHECK (cause IN ('hotreload', 'rollback', 'request', 'renewal', 'revocation'));`;

const DEFINER = 'LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp';

const FUNCTIONS = `
  -- How many entries the log of checkpoints has, or had at p_at; NULL when there is no log.
  CREATE FUNCTION checkpoint_log_size(p_at timestamptz) RETURNS bigint ${DEFINER} AS $$
  BEGIN
    IF NOT EXISTS (SELECT FROM audit_checkpoint_entries) THEN RETURN NULL; END IF;
    RETURN coalesce(
      (SELECT index + 1 FROM audit_checkpoint_entries WHERE p_at IS NULL OR created_at <= p_at ORDER BY index DESC LIMIT 1), 0);
  END $$;

  -- Whether an event signed by p_signer is in no checkpoint yet.
  CREATE FUNCTION signer_is_uncovered(p_signer text) RETURNS boolean ${DEFINER} AS $$
  BEGIN
    RETURN EXISTS (
      SELECT FROM audit_heads h
      CROSS JOIN LATERAL (
        SELECT coalesce(max(x.size), 0) AS size FROM audit_checkpoint_entries x WHERE x.chain = h.chain
      ) covered
      WHERE h.seq > covered.size AND EXISTS (
        SELECT FROM audit_events e WHERE e.chain = h.chain AND e.seq > covered.size AND e.signer_id = p_signer)
    );
  END $$;`;
