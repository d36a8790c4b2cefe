import type { Kysely } from 'kysely';

import { run, secureTable } from './support/secure-table.ts';

/** Promotions that wait for approvals, who gave them, and what ended the wait. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await run(db, PROMOTIONS);
  await secureTable(db, 'promotion_approvals', { key: 'workspace_id', appPrivileges: 'SELECT, INSERT' });
  await run(db, FORGET);
  await run(db, ERASE);
}

const PROMOTIONS = `
  ALTER TABLE promotions
    -- 0: policy decided alone, at once.
    ADD COLUMN approvals_required smallint NOT NULL DEFAULT 0 CHECK (approvals_required BETWEEN 0 AND 64),
    ADD COLUMN expires_at timestamptz,
    -- The evaluation of the request; decision_id is that of the newest evaluation.
    ADD COLUMN request_decision_id uuid,
    ADD COLUMN lapse_cause text,
    -- { id, kind, reason } of whoever said no; without the reason once it is erased.
    ADD COLUMN rejection jsonb,
    DROP CONSTRAINT promotions_state_check,
    ADD CONSTRAINT promotions_state_check CHECK (state IN ('pending', 'approved', 'denied', 'rejected', 'lapsed')),
    ADD CONSTRAINT promotions_lapse_check CHECK ((state = 'lapsed') = (lapse_cause IS NOT NULL)),
    ADD CONSTRAINT promotions_pending_check
      CHECK (state <> 'pending' OR (approvals_required > 0 AND expires_at IS NOT NULL AND request_decision_id IS NOT NULL));
  CREATE UNIQUE INDEX promotions_pending ON promotions (workspace_id, agent_id) WHERE state = 'pending';
  CREATE INDEX promotions_due ON promotions (expires_at) WHERE state = 'pending';
  CREATE POLICY promotions_system ON promotions FOR SELECT TO castellan_system USING (true);
  GRANT SELECT ON promotions TO castellan_system;

  CREATE TABLE promotion_approvals (
    workspace_id text NOT NULL,
    promotion_id uuid NOT NULL,
    -- From 1, in the order they were given.
    position smallint NOT NULL CHECK (position > 0),
    approver_id text NOT NULL,
    approver_kind text NOT NULL,
    -- Those the approver had then.
    roles text[] NOT NULL,
    policy_hash text NOT NULL,
    comment text,
    approved_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, promotion_id, position),
    -- No human twice, whatever the code above does.
    UNIQUE (workspace_id, promotion_id, approver_id)
  );
  CREATE INDEX promotion_approvals_commented ON promotion_approvals (workspace_id, approver_id) WHERE comment IS NOT NULL;
  CREATE INDEX promotions_rejected_by ON promotions (workspace_id, (rejection ->> 'id')) WHERE rejection ? 'reason';`;

/** Comments and reasons of a workspace: those of an actor, and those of the events named. */
const FORGET = `
  CREATE FUNCTION audit_forget_promotions(p_chain text, p_actor text, p_seqs bigint[]) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  BEGIN
    UPDATE promotion_approvals SET comment = NULL
      WHERE workspace_id = p_chain AND approver_id = p_actor AND comment IS NOT NULL;
    UPDATE promotions SET rejection = rejection - 'reason'
      WHERE workspace_id = p_chain AND rejection ->> 'id' = p_actor AND rejection ? 'reason';
    UPDATE promotion_approvals a SET comment = NULL FROM audit_events e
      WHERE e.chain = p_chain AND e.seq = ANY(p_seqs) AND e.event_type = 'promotion.approval.given'
        AND a.workspace_id = p_chain AND a.promotion_id::text = e.payload ->> 'promotionId' AND a.approver_id = e.actor_id
        AND a.comment IS NOT NULL;
    UPDATE promotions p SET rejection = p.rejection - 'reason' FROM audit_events e
      WHERE e.chain = p_chain AND e.seq = ANY(p_seqs) AND e.event_type = 'promotion.rejected'
        AND p.workspace_id = p_chain AND p.id::text = e.payload ->> 'promotionId' AND p.rejection ? 'reason';
  END $$;
  REVOKE ALL ON FUNCTION audit_forget_promotions(text, text, bigint[]) FROM PUBLIC;`;

/** An erasure reaches them, too. All else of the function stays as it is. */
const ERASE = `
  DO $$
  DECLARE
    ending constant text := 'RETURN QUERY SELECT deleted;';
    definition text := pg_get_functiondef('audit_erase_personal(text,bigint[],integer)'::regprocedure);
  BEGIN
    IF strpos(definition, ending) = 0 THEN
      RAISE EXCEPTION 'audit_erase_personal does not end as it did';
    END IF;
    EXECUTE replace(definition, ending, 'PERFORM audit_forget_promotions(own, p_actor, p_seqs); ' || ending);
  END $$;`;
