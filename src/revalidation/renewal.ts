import { sql } from 'kysely';

import type { AuditAppender } from '../audit/append.ts';
import type { Actor } from '../audit/event.ts';
import type { PolicyHead } from '../policy/head.ts';
import type { Trx } from '../storage/database.ts';
import type { Storage } from '../storage/storage.ts';
import type { RevalidationService } from './service.ts';

/** Proofs looked at in one round; the next round goes on. */
const MAX_CANDIDATES = 1000;
const ACTOR: Actor = { id: 'castellan', kind: 'system' };

export interface RenewalOptions {
  readonly storage: Storage;
  readonly audit: AuditAppender;
  readonly revalidation: RevalidationService;
  readonly head: (trx: Trx, workspaceId: string) => Promise<PolicyHead>;
  readonly clock: () => number;
  /** Ms a proof lives; candidates are found by their end. */
  readonly ttlMs: number;
}

/**
 * One round of renewing proofs at two thirds of their life, through the checks of a revalidation: what no longer passes
 * is invalidated. Agents of an older policy are left to a revalidation, and invalidated ones to a release.
 */
export async function renewProofs(options: RenewalOptions, signal: AbortSignal): Promise<void> {
  const { storage, clock, ttlMs } = options;
  const candidates = await storage.system((trx) => findDue(trx, clock(), ttlMs));
  const failures: unknown[] = [];
  for (const [workspaceId, agentIds] of candidates) {
    if (signal.aborted) return;
    try {
      await renewIn(options, workspaceId, agentIds);
    } catch (error) {
      // The others come all the same; this one is due again in the next round.
      failures.push(error);
    }
  }
  if (failures.length > 0)
    throw new AggregateError(failures, `proofs of ${failures.length} workspaces were not renewed`);
}

async function renewIn(options: RenewalOptions, workspaceId: string, agentIds: readonly string[]): Promise<void> {
  const { audit, revalidation } = options;
  const begun = await audit.commit({
    chain: workspaceId,
    work: async (scope) => {
      // Somebody else's round was first: its renewals are under way or done.
      const due = await stillDue(scope.trx, workspaceId, agentIds, scope.now);
      if (due.length === 0) return undefined;
      const { hash } = await options.head(scope.trx, workspaceId);
      return revalidation.begin(scope, {
        workspaceId,
        policyHash: hash,
        cause: 'renewal',
        actor: ACTOR,
        agentIds: due,
      });
    },
  });
  if (begun !== undefined) await revalidation.follow(workspaceId, begun.id, 0);
}

/** Agents by workspace whose current proof of the active policy is past two thirds of its life. */
async function findDue(trx: Trx, now: number, ttlMs: number): Promise<Map<string, string[]>> {
  const { rows } = await sql<{ workspace_id: string; agent_id: string }>`
    SELECT p.workspace_id, p.agent_id
    FROM agent_proofs p
    JOIN agents a ON a.workspace_id = p.workspace_id AND a.id = p.agent_id AND a.proof_id = p.id
    JOIN policy_heads h ON h.workspace_id = p.workspace_id AND h.hash = p.policy_hash
    WHERE p.expires_at < ${new Date(now + ttlMs)} AND p.expires_at > ${new Date(now)}
      AND p.issued_at + (p.expires_at - p.issued_at) * 2 / 3 <= ${new Date(now)}
      AND a.mode = 'governed' AND a.invalidation IS NULL
      AND NOT EXISTS (
        SELECT FROM revalidations r WHERE r.workspace_id = p.workspace_id AND r.state = 'running' AND r.cause = 'renewal'
      )
    ORDER BY p.expires_at LIMIT ${MAX_CANDIDATES}`.execute(trx);
  const byWorkspace = new Map<string, string[]>();
  for (const { workspace_id, agent_id } of rows) {
    byWorkspace.set(workspace_id, [...(byWorkspace.get(workspace_id) ?? []), agent_id]);
  }
  return byWorkspace;
}

/** Under the lock and ascending; empty while another renewal of the workspace runs. */
async function stillDue(trx: Trx, workspaceId: string, agentIds: readonly string[], now: number): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    SELECT a.id FROM agents a
    JOIN agent_proofs p ON p.workspace_id = a.workspace_id AND p.id = a.proof_id
    WHERE a.workspace_id = ${workspaceId} AND a.id = ANY(${[...agentIds]}::uuid[])
      AND a.mode = 'governed' AND a.invalidation IS NULL
      AND p.issued_at + (p.expires_at - p.issued_at) * 2 / 3 <= ${new Date(now)}
      AND NOT EXISTS (
        SELECT FROM revalidations r WHERE r.workspace_id = a.workspace_id AND r.state = 'running' AND r.cause = 'renewal'
      )
    ORDER BY a.id`.execute(trx);
  return rows.map((row) => row.id);
}
