import { type Selectable, sql } from 'kysely';

import type { Denial } from '../admission/check.ts';
import type { Actor } from '../audit/event.ts';
import type { Trx } from '../storage/database.ts';
import type { RenewedProof } from './outcome.ts';
import type { RevalidationCause, RevalidationsTable } from './table.ts';

export type RevalidationRow = Selectable<RevalidationsTable>;

export interface NewRevalidation {
  readonly workspaceId: string;
  readonly id: string;
  readonly cause: RevalidationCause;
  readonly policyHash: string;
  readonly agentIds: readonly string[] | undefined;
  readonly total: number;
  readonly actor: Actor;
  readonly lease: Lease;
  readonly now: Date;
}

/** Who may work on a revalidation, and until when nobody else may. */
export interface Lease {
  readonly by: string;
  readonly until: Date;
}

export async function insertRevalidation(trx: Trx, run: NewRevalidation): Promise<void> {
  await trx
    .insertInto('revalidations')
    .values({
      workspace_id: run.workspaceId,
      id: run.id,
      cause: run.cause,
      policy_hash: run.policyHash,
      agent_ids: run.agentIds === undefined ? null : [...run.agentIds],
      state: run.total === 0 ? 'done' : 'running',
      total: run.total,
      after_id: null,
      requested_by: JSON.stringify({ id: run.actor.id, kind: run.actor.kind }),
      lease_until: run.lease.until,
      leased_by: run.lease.by,
      created_at: run.now,
      updated_at: run.now,
    })
    .execute();
}

export async function findRevalidation(
  trx: Trx,
  workspaceId: string,
  id: string,
): Promise<RevalidationRow | undefined> {
  return trx
    .selectFrom('revalidations')
    .selectAll()
    .where('workspace_id', '=', workspaceId)
    .where('id', '=', id)
    .executeTakeFirst();
}

/** Takes the lease of a running revalidation unless somebody else still holds it. */
export async function claim(
  trx: Trx,
  workspaceId: string,
  id: string,
  lease: Lease,
  now: Date,
): Promise<RevalidationRow | undefined> {
  return trx
    .updateTable('revalidations')
    .set({ leased_by: lease.by, lease_until: lease.until })
    .where('workspace_id', '=', workspaceId)
    .where('id', '=', id)
    .where('state', '=', 'running')
    .where((where) =>
      where.or([where('leased_by', '=', lease.by), where('lease_until', 'is', null), where('lease_until', '<=', now)]),
    )
    .returningAll()
    .executeTakeFirst();
}

/** Prolongs a lease that is still held; false when it was lost or the revalidation has ended. */
export async function holdLease(trx: Trx, workspaceId: string, id: string, lease: Lease): Promise<boolean> {
  const { numUpdatedRows } = await trx
    .updateTable('revalidations')
    .set({ lease_until: lease.until })
    .where('workspace_id', '=', workspaceId)
    .where('id', '=', id)
    .where('state', '=', 'running')
    .where('leased_by', '=', lease.by)
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

/** Lets anyone take it from `until` on. */
export async function giveBack(trx: Trx, workspaceId: string, id: string, lease: Lease): Promise<void> {
  await trx
    .updateTable('revalidations')
    .set({ leased_by: null, lease_until: lease.until })
    .where('workspace_id', '=', workspaceId)
    .where('id', '=', id)
    .where('leased_by', '=', lease.by)
    .execute();
}

export interface Progress {
  readonly afterId?: string;
  readonly done?: number;
  readonly invalidated?: number;
  readonly finished?: boolean;
}

export async function advance(
  trx: Trx,
  workspaceId: string,
  id: string,
  { afterId, done = 0, invalidated = 0, finished = false }: Progress,
  now: Date,
): Promise<void> {
  await trx
    .updateTable('revalidations')
    .set({
      ...(afterId === undefined ? {} : { after_id: afterId }),
      ...(finished ? { state: 'done' as const } : {}),
      // Agents promoted while it runs are counted, too; the total is what there was at its beginning, or more.
      done: sql<number>`done + ${done}`,
      total: sql<number>`greatest(total, done + ${done})`,
      invalidated: sql<number>`invalidated + ${invalidated}`,
      updated_at: now,
    })
    .where('workspace_id', '=', workspaceId)
    .where('id', '=', id)
    .execute();
}

/** Running revalidations that nobody holds, oldest lease first; for castellan_system. */
export async function findAbandoned(
  trx: Trx,
  now: Date,
  limit: number,
): Promise<{ workspace_id: string; id: string }[]> {
  return trx
    .selectFrom('revalidations')
    .select(['workspace_id', 'id'])
    .where('state', '=', 'running')
    .where((where) => where.or([where('lease_until', 'is', null), where('lease_until', '<=', now)]))
    .orderBy('lease_until')
    .limit(limit)
    .execute();
}

/** Ids of the governed agents after `afterId`, ascending. */
export async function pageOfGoverned(
  trx: Trx,
  workspaceId: string,
  afterId: string | null,
  limit: number,
): Promise<string[]> {
  let select = trx
    .selectFrom('agents')
    .select('id')
    .where('workspace_id', '=', workspaceId)
    .where('mode', '=', 'governed');
  if (afterId !== null) select = select.where('id', '>', afterId);
  const rows = await select.orderBy('id').limit(limit).execute();
  return rows.map((row) => row.id);
}

/** How many governed agents the workspace has; kept, not counted. */
export async function countGoverned(trx: Trx, workspaceId: string): Promise<number> {
  const row = await trx
    .selectFrom('agent_counts')
    .select(({ fn }) => fn.sum<string | null>('n').as('total'))
    .where('workspace_id', '=', workspaceId)
    .where('mode', '=', 'governed')
    .executeTakeFirst();
  return Number(row?.total ?? 0);
}

export async function modesOf(
  trx: Trx,
  workspaceId: string,
  ids: readonly string[],
): Promise<{ id: string; mode: string }[]> {
  return trx
    .selectFrom('agents')
    .select(['id', 'mode'])
    .where('workspace_id', '=', workspaceId)
    .where('id', 'in', [...ids])
    .execute();
}

/**
 * Stores the proofs and makes each the agent's own, in one statement whatever their number. A statement that several share
 * is stored with the first of them, so none is there that no proof refers to: proofs are evidence, and never removed.
 */
export async function storeRenewals(
  trx: Trx,
  workspaceId: string,
  proofs: readonly RenewedProof[],
  now: Date,
): Promise<void> {
  const statements = new Map(
    proofs.flatMap(({ statement }) => (statement === undefined ? [] : [[statement.digest, statement]])),
  );
  await sql`
    WITH shared AS (
      INSERT INTO proof_statements (workspace_id, digest, envelope, created_at)
      SELECT ${workspaceId}, s.digest, s.envelope, ${now}
      FROM unnest(
        ${[...statements.keys()]}::text[],
        ${[...statements.values()].map(({ envelope }) => JSON.stringify(envelope))}::jsonb[]
      ) AS s(digest, envelope)
    ), stored AS (
      INSERT INTO agent_proofs (workspace_id, id, agent_id, envelope, spec_version, spec_hash, policy_hash, signer_id,
        promotion_id, previous_proof, issued_at, expires_at)
      SELECT ${workspaceId}, renewed.*
      FROM unnest(
        ${proofs.map((proof) => proof.id)}::uuid[],
        ${proofs.map((proof) => proof.agentId)}::uuid[],
        ${proofs.map((proof) => JSON.stringify(proof.envelope))}::jsonb[],
        ${proofs.map((proof) => proof.specVersion)}::integer[],
        ${proofs.map((proof) => proof.specHash)}::text[],
        ${proofs.map((proof) => proof.policyHash)}::text[],
        ${proofs.map((proof) => proof.signerId)}::text[],
        ${proofs.map((proof) => proof.promotionId)}::uuid[],
        ${proofs.map((proof) => proof.previousProofId)}::uuid[],
        ${proofs.map((proof) => proof.issuedAt.toISOString())}::timestamptz[],
        ${proofs.map((proof) => proof.expiresAt.toISOString())}::timestamptz[]
      ) AS renewed
      RETURNING id, agent_id
    )
    UPDATE agents SET proof_id = stored.id, version = version + 1, updated_at = ${now}
    FROM stored WHERE agents.workspace_id = ${workspaceId} AND agents.id = stored.agent_id`.execute(trx);
}

export interface Invalidation {
  readonly agentId: string;
  readonly denies: readonly Denial[];
}

/** Invalidates, stops and quarantines the agents in one statement; a quarantine that was there stays as it is. */
export async function storeInvalidations(
  trx: Trx,
  workspaceId: string,
  policyHash: string,
  invalidations: readonly Invalidation[],
  now: Date,
): Promise<void> {
  const at = now.toISOString();
  const quarantine = JSON.stringify({ at, by: 'castellan', reason: 'invalidated by revalidation' });
  const causes = invalidations.map(({ denies }) => JSON.stringify({ at, policyHash, denies }));
  await sql`
    UPDATE agents SET invalidation = failed.invalidation,
      quarantine = coalesce(quarantine, ${quarantine}::jsonb),
      since = CASE WHEN status = 'quarantined' THEN since ELSE ${now} END,
      status = 'quarantined',
      desired_replicas = 0,
      ready_replicas = CASE WHEN managed THEN ready_replicas ELSE 0 END,
      version = version + 1,
      updated_at = ${now}
    FROM unnest(${invalidations.map(({ agentId }) => agentId)}::uuid[], ${causes}::jsonb[])
      AS failed(agent_id, invalidation)
    WHERE agents.workspace_id = ${workspaceId} AND agents.id = failed.agent_id`.execute(trx);
}
