import type { Kysely } from 'kysely';

import { run, secureTable } from './support/secure-table.ts';

/**
 * What people wrote, apart from the events that bind it: an event has a salted commitment, the value and its salt stand here
 * and can be erased without touching the chain. No foreign key: the constraints of the log must not depend on this table.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await run(db, TABLES);
  await secureTable(db, 'audit_personal', { key: 'chain', appPrivileges: 'SELECT' });
  await secureTable(db, 'audit_holds', { key: 'chain', appPrivileges: 'SELECT, INSERT, DELETE', systemReads: true });
  await run(db, FUNCTIONS);
  await run(
    db,
    SIGNATURES.map(
      (name) => `REVOKE ALL ON FUNCTION ${name} FROM PUBLIC; GRANT EXECUTE ON FUNCTION ${name} TO castellan_app;`,
    ).join('\n'),
  );
}

const SIGNATURES = [
  'audit_keep_personal(text[], bigint[], text[], text[], bytea[], text[])',
  'audit_erase_personal(text, bigint[], integer)',
];

const TABLES = `
  CREATE TABLE audit_personal (
    chain text NOT NULL,
    seq bigint NOT NULL CHECK (seq > 0),
    -- The member of the payload that has the commitment.
    member text NOT NULL CHECK (octet_length(member) <= 64),
    value text NOT NULL CHECK (octet_length(value) <= 8192),
    salt bytea NOT NULL CHECK (octet_length(salt) = 32),
    -- Who wrote it: the event's actor.
    actor_id text NOT NULL,
    PRIMARY KEY (chain, seq, member)
  );
  CREATE INDEX audit_personal_actor ON audit_personal (chain, actor_id, seq);

  CREATE INDEX agents_quarantined_by ON agents (workspace_id, (quarantine ->> 'by')) WHERE quarantine IS NOT NULL;
  CREATE INDEX promotions_justified_by ON promotions (workspace_id, (requested_by ->> 'id')) WHERE justification IS NOT NULL;

  -- Chains of which nothing may be erased or pruned.
  CREATE TABLE audit_holds (
    chain text PRIMARY KEY,
    -- The audit.hold.placed; its reason is erased where all others are.
    seq bigint NOT NULL,
    placed_at timestamptz NOT NULL,
    placed_by text NOT NULL
  );`;

const DEFINER = 'LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp';

const FUNCTIONS = `
  -- Values of events that the same transaction appends, of any chains.
  CREATE FUNCTION audit_keep_personal(
    p_chains text[], p_seqs bigint[], p_members text[], p_values text[], p_salts bytea[], p_actors text[]
  ) RETURNS void ${DEFINER} AS $$
  BEGIN
    INSERT INTO audit_personal (chain, seq, member, value, salt, actor_id)
    SELECT * FROM unnest(p_chains, p_seqs, p_members, p_values, p_salts, p_actors);
  END $$;

  -- Empties the copies that signers have of the reasons in these events: each has that of its newest revocation or compromise.
  CREATE FUNCTION audit_forget_revocations(p_chain text, p_seqs bigint[]) RETURNS void ${DEFINER} AS $$
  BEGIN
    IF p_chain <> '_system' THEN
      RETURN;
    END IF;
    UPDATE signers s SET revoked_reason = NULL FROM audit_events e
    WHERE e.chain = p_chain AND e.seq = ANY(p_seqs) AND e.event_type IN ('signer.revoked', 'signer.compromise')
      AND s.signer_id = e.payload ->> 'signerId' AND s.revoked_reason IS NOT NULL
      AND NOT EXISTS (
        SELECT FROM audit_events l
        WHERE l.chain = p_chain AND l.event_type IN ('signer.revoked', 'signer.compromise') AND l.seq > e.seq
          AND l.payload ->> 'signerId' = s.signer_id);
  END $$;
  REVOKE ALL ON FUNCTION audit_forget_revocations(text, bigint[]) FROM PUBLIC;

  -- Deletes values of the workspace that the transaction names: those an actor wrote, or those of events; at most p_limit, the
  -- oldest first. Overwrites the copies that other tables have of them, and what the actor wrote that no event has.
  CREATE FUNCTION audit_erase_personal(p_actor text, p_seqs bigint[], p_limit integer)
    RETURNS TABLE (erased bigint) ${DEFINER} AS $$
  #variable_conflict use_column
  DECLARE
    own text := current_setting('castellan.workspace', true);
    deleted bigint;
  BEGIN
    WITH doomed AS (
      SELECT seq, member FROM audit_personal
      WHERE chain = own AND (actor_id = p_actor OR seq = ANY(p_seqs)) ORDER BY seq, member LIMIT p_limit
    ), gone AS (
      DELETE FROM audit_personal p USING doomed d
      WHERE p.chain = own AND p.seq = d.seq AND p.member = d.member RETURNING p.seq, p.value
    ), named AS (
      -- The columns are projections that somebody may have edited: what is no id names nothing.
      SELECT e.event_type, g.value,
        CASE WHEN e.payload ->> 'agentId' ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
          THEN (e.payload ->> 'agentId')::uuid END AS agent_id,
        CASE WHEN e.payload ->> 'version' ~ '^[0-9]{1,9}$' THEN (e.payload ->> 'version')::integer END AS version
      FROM gone g JOIN audit_events e ON e.chain = own AND e.seq = g.seq
    ), quarantines AS (
      UPDATE agents a SET quarantine = jsonb_set(a.quarantine, '{reason}', '"erased"'), version = a.version + 1
      FROM named n WHERE n.event_type = 'agent.quarantined' AND a.workspace_id = own AND a.id = n.agent_id
        AND a.quarantine ->> 'reason' = n.value
    ), versions AS (
      UPDATE policy_versions v SET reason = NULL
      FROM named n WHERE n.event_type LIKE 'policy.%' AND v.workspace_id = own AND v.version = n.version
        AND v.reason = n.value
    )
    SELECT count(*) FROM gone INTO deleted;
    PERFORM audit_forget_revocations(own, ARRAY(
      SELECT seq FROM audit_events
      WHERE own = '_system' AND chain = own AND event_type IN ('signer.revoked', 'signer.compromise')
        AND (actor_id = p_actor OR seq = ANY(p_seqs))));
    -- Also where the event was pruned, or there never was one.
    UPDATE agents SET quarantine = jsonb_set(quarantine, '{reason}', '"erased"'), version = version + 1
      WHERE workspace_id = own AND quarantine ->> 'by' = p_actor AND quarantine ->> 'reason' <> 'erased';
    UPDATE policy_versions SET reason = NULL WHERE workspace_id = own AND created_by = p_actor AND reason IS NOT NULL;
    UPDATE promotions SET justification = NULL
      WHERE workspace_id = own AND requested_by ->> 'id' = p_actor AND justification IS NOT NULL;
    RETURN QUERY SELECT deleted;
  END $$;`;
