import type pg from 'pg';

/** The members of an event's payload; each rule asks for the ones it knows. */
export type Payload = Readonly<Record<string, unknown>>;

export interface EventFact {
  readonly chain: string;
  readonly seq: number;
  readonly hash: string;
  readonly type: string;
  /** Ms since the epoch. */
  readonly ts: number;
  readonly actor: string;
  readonly payload: Payload;
  readonly traceId: string | null;
}

export interface AgentFact {
  readonly workspaceId: string;
  readonly id: string;
  readonly mode: string;
  readonly status: string;
  readonly specVersion: number;
  readonly specHash: string;
  readonly proofId: string | null;
  readonly invalidated: boolean;
  readonly quarantined: boolean;
}

export interface DecisionFact {
  readonly workspaceId: string;
  readonly id: string;
  readonly kind: string;
  readonly agentId: string;
  readonly effect: string;
  readonly policyHash: string;
  readonly auditSeq: number;
}

/** What the database holds after a run. */
export interface Facts {
  /** By chain, then seq. */
  readonly events: readonly EventFact[];
  readonly heads: readonly { readonly chain: string; readonly seq: number; readonly hash: string }[];
  readonly workspaces: readonly string[];
  readonly agents: readonly AgentFact[];
  readonly specs: readonly {
    readonly workspaceId: string;
    readonly id: string;
    readonly version: number;
    readonly specHash: string;
  }[];
  readonly decisions: readonly DecisionFact[];
  readonly promotions: readonly {
    readonly workspaceId: string;
    readonly id: string;
    readonly state: string;
    /** Whether humans had the last word. */
    readonly requested: boolean;
  }[];
  readonly approvals: readonly {
    readonly workspaceId: string;
    readonly id: string;
    readonly position: number;
    readonly approver: string;
  }[];
  readonly proofs: readonly {
    readonly workspaceId: string;
    readonly id: string;
    readonly policyHash: string;
    readonly specHash: string;
  }[];
  /** By the digest of what was signed. */
  readonly statements: readonly { readonly workspaceId: string; readonly id: string }[];
  readonly templates: readonly {
    readonly workspaceId: string;
    readonly id: string;
    readonly version: number;
    readonly configHash: string;
  }[];
  /** Engaged ones; the agent is empty where it is more than one. */
  readonly switches: readonly { readonly workspaceId: string; readonly id: string }[];
  readonly revalidations: readonly { readonly workspaceId: string; readonly id: string; readonly cause: string }[];
  readonly policies: readonly { readonly workspaceId: string; readonly version: number; readonly hash: string }[];
  readonly policyHeads: readonly {
    readonly workspaceId: string;
    readonly hash: string;
    readonly activationSeq: number;
  }[];
  readonly signers: readonly { readonly id: string; readonly revoked: boolean }[];
  readonly counts: readonly {
    readonly workspaceId: string;
    readonly mode: string;
    readonly status: string;
    readonly n: number;
  }[];
  readonly directory: readonly { readonly workspaceId: string; readonly id: string }[];
}

/** Numbers come as JavaScript numbers: no test writes more than they hold. */
const QUERIES: Readonly<Record<keyof Omit<Facts, 'workspaces'>, string>> = {
  events: `SELECT chain, seq::int, hash, event_type AS type, (extract(epoch FROM ts) * 1000)::float8 AS ts, actor_id AS actor,
    payload, convert_from(body, 'UTF8')::jsonb ->> 'traceId' AS "traceId" FROM audit_events ORDER BY chain, seq`,
  heads: 'SELECT chain, seq::int, hash FROM audit_heads',
  agents: `SELECT workspace_id AS "workspaceId", id, mode, status, spec_version AS "specVersion", spec_hash AS "specHash",
    proof_id AS "proofId", invalidation IS NOT NULL AS invalidated, quarantine IS NOT NULL AS quarantined FROM agents`,
  specs: 'SELECT workspace_id AS "workspaceId", agent_id AS id, version, spec_hash AS "specHash" FROM agent_specs',
  decisions: `SELECT workspace_id AS "workspaceId", id, kind, agent_id AS "agentId", effect, policy_hash AS "policyHash",
    audit_seq::int AS "auditSeq" FROM decisions`,
  promotions: 'SELECT workspace_id AS "workspaceId", id, state, approvals_required > 0 AS requested FROM promotions',
  approvals:
    'SELECT workspace_id AS "workspaceId", promotion_id AS id, position, approver_id AS approver FROM promotion_approvals',
  proofs: `SELECT workspace_id AS "workspaceId", id, policy_hash AS "policyHash", spec_hash AS "specHash" FROM agent_proofs`,
  statements: 'SELECT workspace_id AS "workspaceId", digest AS id FROM proof_statements',
  templates: `SELECT workspace_id AS "workspaceId", template_id AS id, version, config_hash AS "configHash"
    FROM template_versions`,
  switches: 'SELECT workspace_id AS "workspaceId", agent_id AS id FROM kill_switches',
  revalidations: 'SELECT workspace_id AS "workspaceId", id, cause FROM revalidations',
  policies: 'SELECT workspace_id AS "workspaceId", version, hash FROM policy_versions',
  policyHeads: `SELECT workspace_id AS "workspaceId", hash, activation_seq::int AS "activationSeq" FROM policy_heads`,
  signers: 'SELECT signer_id AS id, revoked_at IS NOT NULL AS revoked FROM signers',
  counts: 'SELECT workspace_id AS "workspaceId", mode, status, n::int FROM agent_counts WHERE n > 0',
  directory: 'SELECT workspace_id AS "workspaceId", agent_id AS id FROM agent_directory',
};

/** Reads everything in one snapshot, with a login that row-level security does not bind. */
export async function readFacts(client: pg.Client): Promise<Facts> {
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  try {
    const rows = async (sql: string) => (await client.query(sql)).rows;
    return {
      events: await rows(QUERIES.events),
      heads: await rows(QUERIES.heads),
      workspaces: (await rows('SELECT id FROM workspaces')).map(({ id }) => id),
      agents: await rows(QUERIES.agents),
      specs: await rows(QUERIES.specs),
      decisions: await rows(QUERIES.decisions),
      promotions: await rows(QUERIES.promotions),
      approvals: await rows(QUERIES.approvals),
      proofs: await rows(QUERIES.proofs),
      statements: await rows(QUERIES.statements),
      templates: await rows(QUERIES.templates),
      switches: await rows(QUERIES.switches),
      revalidations: await rows(QUERIES.revalidations),
      policies: await rows(QUERIES.policies),
      policyHeads: await rows(QUERIES.policyHeads),
      signers: await rows(QUERIES.signers),
      counts: await rows(QUERIES.counts),
      directory: await rows(QUERIES.directory),
    };
  } finally {
    await client.query('ROLLBACK');
  }
}

/** What an event of a mass renewal says of each agent. */
export function renewedTogether({ agents }: Payload): Payload[] {
  if (!Array.isArray(agents)) return [];
  return agents.map((one: unknown) => (typeof one === 'object' && one !== null ? { ...one } : {}));
}

/** A member that is text, else an empty one: it then fits nothing. */
export function textOf(payload: Payload, member: string): string {
  const value = payload[member];
  return typeof value === 'string' ? value : '';
}
