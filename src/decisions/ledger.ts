import type { Write } from '../audit/append.ts';
import type { Trx } from '../storage/database.ts';
import { voidRoutine } from '../storage/session.ts';

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
  readonly kind: 'start' | 'launch' | 'scale' | 'promotion' | 'release' | 'sandbox.run';
  readonly agentId: string;
  readonly denies: readonly DecisionReason[];
  /** Nothing denies it, and humans have the last word. */
  readonly needsApproval?: true;
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
  const { tier, codes, reasons, actorId, actorKind, policyHash, specHash, shadow, traceId } = factsOf(record);
  await trx
    .insertInto('decisions')
    .values({
      workspace_id: record.workspaceId,
      id: record.id,
      kind: record.kind,
      agent_id: record.agentId,
      action: record.kind === 'sandbox.run' ? record.kind : `agent.${record.kind}`,
      effect: effectOf(record).effect,
      tier,
      codes,
      reasons: JSON.stringify(reasons),
      actor_id: actorId,
      actor_kind: actorKind,
      policy_hash: policyHash,
      spec_hash: specHash,
      shadow: shadow === undefined ? null : JSON.stringify(shadow),
      trace_id: traceId ?? null,
      audit_seq: record.auditSeq,
      created_at: record.createdAt,
    })
    .execute();
}

/** The rows of units that share a transaction, in one statement. */
export const decisionWrite: Write<DecisionRecord> = {
  store: (session, rows) =>
    session.call(RECORD, [
      rows.map((row) => row.workspaceId),
      rows.map((row) => row.id),
      rows.map((row) => row.agentId),
      rows.map((row) => row.kind),
      rows.map((row) => effectOf(row).effect),
      rows.map((row) => JSON.stringify(factsOf(row))),
      rows.map((row) => row.createdAt),
      rows.map((row) => row.auditSeq),
    ]),
};

const RECORD = voidRoutine('record_decisions', 8);

/** Tier 1: allowed and audited; tier 2: a human decides; tier 3: denied (contract §10). */
function effectOf({ denies, needsApproval }: DecisionRecord) {
  if (denies.length > 0) return { effect: 'DENY', tier: 3 } as const;
  return needsApproval ? ({ effect: 'REQUIRE_APPROVAL', tier: 2 } as const) : ({ effect: 'ALLOW', tier: 1 } as const);
}

function factsOf(record: DecisionRecord) {
  const { denies, actor, policyHash, specHash, shadow, traceId } = record;
  return {
    tier: effectOf(record).tier,
    codes: denies.map((deny) => deny.code),
    reasons: denies,
    actorId: actor.id,
    actorKind: actor.kind,
    policyHash,
    specHash,
    shadow,
    traceId,
  };
}
