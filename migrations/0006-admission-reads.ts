import type { Kysely } from 'kysely';

import { run } from './support/secure-table.ts';

/**
 * What admission reads, as functions: plpgsql keeps their plans for the life of a connection. Planning this join anew
 * costs many times its execution, and one of the two reads happens under the lock of a chain.
 * Both run as their caller, so row-level security holds.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await run(
    db,
    `
    CREATE FUNCTION admission_subjects(p_workspace text, p_ids uuid[]) RETURNS TABLE (
      id uuid, mode text, status text, name text, expires_at timestamptz, desired_replicas integer,
      spec_version integer, spec_hash text, row_version bigint, invalidation jsonb, quarantine jsonb,
      spec_json jsonb, spec_bytes bytea, stored_spec_hash text,
      proof_id uuid, envelope jsonb, proof_spec_version integer, proof_spec_hash text, proof_policy_hash text,
      promotion_id uuid, proof_expires_at timestamptz, ever_proved boolean,
      signer_id text, alg text, public_key text, purpose text, signer_state text,
      not_before timestamptz, not_after timestamptz,
      policy_set text, policy_version integer, policy_hash text, activation_seq bigint, shadow_hash text,
      workspace_state text, fingerprint text
    ) LANGUAGE plpgsql STABLE SET search_path = public, pg_temp AS $$
    #variable_conflict use_column
    BEGIN
      RETURN QUERY
        SELECT a.id, a.mode, a.status, a.name, a.expires_at, a.desired_replicas, a.spec_version, a.spec_hash,
          a.version, a.invalidation, a.quarantine, s.spec, s.spec_bytes, s.spec_hash,
          p.id, p.envelope, p.spec_version, p.spec_hash, p.policy_hash, p.promotion_id, p.expires_at, ${EVER_PROVED},
          g.signer_id, g.alg, g.public_key, g.purpose, g.state, g.not_before, g.not_after,
          h.policy_set, h.version, h.hash, ${NEWEST_ACTIVATION}, h.shadow_hash, w.state, ${FINGERPRINT}
        ${ROWS};
    END $$;

    CREATE FUNCTION admission_fingerprints(p_workspace text, p_ids uuid[])
      RETURNS TABLE (id uuid, fingerprint text, policy_hash text)
      LANGUAGE plpgsql STABLE SET search_path = public, pg_temp AS $$
    #variable_conflict use_column
    BEGIN
      RETURN QUERY SELECT a.id, ${FINGERPRINT}, h.hash ${ROWS};
    END $$;

    REVOKE ALL ON FUNCTION admission_subjects(text, uuid[]) FROM PUBLIC;
    REVOKE ALL ON FUNCTION admission_fingerprints(text, uuid[]) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION admission_subjects(text, uuid[]) TO castellan_app;
    GRANT EXECUTE ON FUNCTION admission_fingerprints(text, uuid[]) TO castellan_app;
  `,
  );
}

// The signer is the one the envelope names and the column too: where the two differ there is no signer.
const ROWS = `
        FROM agents a
        JOIN workspaces w ON w.id = a.workspace_id
        JOIN policy_heads h ON h.workspace_id = a.workspace_id
        LEFT JOIN agent_specs s
          ON s.workspace_id = a.workspace_id AND s.agent_id = a.id AND s.version = a.spec_version
        LEFT JOIN agent_proofs p ON p.workspace_id = a.workspace_id AND p.id = a.proof_id AND p.agent_id = a.id
        LEFT JOIN signers g ON g.signer_id = p.signer_id AND g.signer_id = p.envelope #>> '{signatures,0,keyid}'
        WHERE a.workspace_id = p_workspace AND a.id = ANY(p_ids)
        ORDER BY a.id`;

const EVER_PROVED = `EXISTS (
            SELECT FROM agent_proofs e WHERE e.workspace_id = a.workspace_id AND e.agent_id = a.id)`;

// NULL for a head that was put back to an earlier activation: the chain knows of a later one.
const NEWEST_ACTIVATION = `CASE WHEN h.activation_seq = GREATEST(
            (SELECT max(seq) FROM audit_events WHERE chain = p_workspace AND event_type = 'policy.activated'),
            (SELECT max(seq) FROM audit_events WHERE chain = p_workspace AND event_type = 'policy.rolledback')
          ) THEN h.activation_seq END`;

// xmin names the transaction that wrote a row version, ctid its place: together they tell two writes of one
// transaction apart, and no writer, whatever it changes, can leave both as they were. Of the policy's head only what
// decides: its revision rises with every agent that is invalidated, and that is no reason to judge the others again.
const FINGERPRINT = `concat_ws(' ', a.xmin, a.ctid, w.xmin, w.ctid,
            h.policy_set, h.version, h.hash, h.activation_seq, coalesce(h.shadow_hash, '-'),
            coalesce(s.xmin::text, '-'), coalesce(s.ctid::text, '-'), coalesce(p.xmin::text, '-'),
            coalesce(p.ctid::text, '-'), coalesce(g.xmin::text, '-'), coalesce(g.ctid::text, '-'), ${EVER_PROVED})`;
