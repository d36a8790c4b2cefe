import type { Trx } from '../storage/database.ts';

/** A reason as the ledger keeps it; the denials of a start or promotion in chain order. */
export interface DecisionReason {
  readonly code: string;
  readonly reason: string;
  readonly severity: string;
  readonly check: string;
}

export interface DecisionRecord {
  readonly workspaceId: string;
  readonly id: string;
  readonly kind: 'start' | 'promotion' | 'release';
  readonly agentId: string;
  readonly denies: readonly DecisionReason[];
  readonly actor: { readonly id: string; readonly kind: string };
  readonly policyHash: string;
  readonly specHash: string;
  readonly shadow?: unknown;
  readonly traceId?: string | undefined;
  /** The audit event of the same transaction. */
  readonly auditSeq: number;
  readonly createdAt: Date;
}

/** Writes one row of the decision ledger, in the transaction that holds the change or the denial it records. */
export async function recordDecision(trx: Trx, record: DecisionRecord): Promise<void> {
  const allowed = record.denies.length === 0;
  await trx
    .insertInto('decisions')
    .values({
      workspace_id: record.workspaceId,
      id: record.id,
      kind: record.kind,
      agent_id: record.agentId,
      action: `agent.${record.kind}`,
      effect: allowed ? 'ALLOW' : 'DENY',
      // Tier 1: allowed and audited; tier 3: denied (contract §10).
      tier: allowed ? 1 : 3,
      codes: record.denies.map((deny) => deny.code),
      reasons: JSON.stringify(record.denies),
      actor_id: record.actor.id,
      actor_kind: record.actor.kind,
      policy_hash: record.policyHash,
      spec_hash: record.specHash,
      shadow: record.shadow === undefined ? null : JSON.stringify(record.shadow),
      trace_id: record.traceId ?? null,
      audit_seq: record.auditSeq,
      created_at: record.createdAt,
    })
    .execute();
}
