import type { Kysely } from 'kysely';

import { run, secureTable } from './support/secure-table.ts';

/** Months that have a partition of their own; a row of any other month lands in the default partition. */
const FIRST_MONTH = Date.UTC(2026, 10);
const MONTHS = 26;

export async function up(db: Kysely<unknown>): Promise<void> {
  await run(
    db,
    `
    -- One row per start, promotion and denial. UUIDv7 ids begin with the time, so a range of ids is a month.
    CREATE TABLE decisions (
      workspace_id text NOT NULL,
      id uuid NOT NULL,
      kind text NOT NULL CHECK (kind IN ('start', 'promotion', 'release')),
      agent_id uuid NOT NULL,
      action text NOT NULL,
      effect text NOT NULL CHECK (effect IN ('ALLOW', 'DENY', 'REQUIRE_APPROVAL')),
      tier smallint NOT NULL CHECK (tier BETWEEN 0 AND 3),
      -- The codes of the denials in chain order; empty when allowed.
      codes text[] NOT NULL,
      reasons jsonb NOT NULL,
      actor_id text NOT NULL,
      actor_kind text NOT NULL,
      policy_hash text NOT NULL,
      spec_hash text NOT NULL,
      -- What the shadow candidate would have answered, when there is one.
      shadow jsonb,
      trace_id text,
      audit_seq bigint NOT NULL,
      created_at timestamptz NOT NULL,
      PRIMARY KEY (workspace_id, id)
    ) PARTITION BY RANGE (id);
    CREATE INDEX decisions_by_agent ON decisions (workspace_id, agent_id, id);
    CREATE TABLE decisions_default PARTITION OF decisions DEFAULT;
    ${partitions()}

    CREATE TABLE promotions (
      workspace_id text NOT NULL,
      id uuid NOT NULL,
      agent_id uuid NOT NULL,
      state text NOT NULL CHECK (state IN ('pending', 'approved', 'denied', 'rejected')),
      -- { id, kind, roles[] } of whoever asked.
      requested_by jsonb NOT NULL,
      justification text,
      decision_id uuid,
      denies jsonb NOT NULL DEFAULT '[]',
      proof_id uuid,
      spec_version integer NOT NULL,
      spec_hash text NOT NULL,
      policy_hash text NOT NULL,
      created_at timestamptz NOT NULL,
      decided_at timestamptz,
      PRIMARY KEY (workspace_id, id)
    );
    CREATE INDEX promotions_by_agent ON promotions (workspace_id, agent_id, id);
    CREATE INDEX promotions_by_state ON promotions (workspace_id, state, id);
  `,
  );
  await secureTable(db, 'decisions', { key: 'workspace_id', appPrivileges: 'SELECT, INSERT' });
  await secureTable(db, 'promotions', { key: 'workspace_id', appPrivileges: 'SELECT, INSERT, UPDATE' });
}

function partitions(): string {
  return Array.from({ length: MONTHS }, (_, index) => {
    const from = new Date(FIRST_MONTH);
    from.setUTCMonth(from.getUTCMonth() + index);
    const to = new Date(from);
    to.setUTCMonth(to.getUTCMonth() + 1);
    const name = `decisions_${from.toISOString().slice(0, 7).replace('-', '_')}`;
    return `CREATE TABLE ${name} PARTITION OF decisions FOR VALUES FROM ('${floor(from)}') TO ('${floor(to)}');
      ALTER TABLE ${name} ENABLE ROW LEVEL SECURITY; ALTER TABLE ${name} FORCE ROW LEVEL SECURITY;`;
  })
    .concat(
      'ALTER TABLE decisions_default ENABLE ROW LEVEL SECURITY; ALTER TABLE decisions_default FORCE ROW LEVEL SECURITY;',
    )
    .join('\n');
}

/** The smallest UUIDv7 of an instant (RFC 9562 §5.7: the first 48 bits are milliseconds). */
function floor(instant: Date): string {
  const hex = instant.getTime().toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`;
}
