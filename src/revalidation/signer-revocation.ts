import { sql } from 'kysely';

import type { AuditAppender, UnitScope } from '../audit/append.ts';
import { nothingCanBeSigned } from '../audit/errors.ts';
import type { Actor } from '../audit/event.ts';
import type { PolicyHead } from '../policy/head.ts';
import type { Trx } from '../storage/database.ts';
import type { Storage } from '../storage/storage.ts';
import type { RevalidationService } from './service.ts';

/** Agents of one revalidation at most; the next one goes on. */
const MAX_AGENTS = 10_000;
/** Ms a round waits for the end of a revalidation that it began. */
const FOLLOW_MS = 60_000;
const ACTOR: Actor = { id: 'castellan', kind: 'system' };

export interface SignerRevocationOptions {
  readonly storage: Storage;
  readonly audit: AuditAppender;
  readonly revalidation: RevalidationService;
  readonly head: (trx: Trx, workspaceId: string) => Promise<PolicyHead>;
}

/**
 * One round of revalidating the agents whose proof is by a signer that is no longer trusted: they fail and are stopped. It
 * goes by what is stored, so that a round that was cut off is taken up by the next one, here or elsewhere.
 */
export async function revalidateDistrusted(options: SignerRevocationOptions, signal: AbortSignal): Promise<void> {
  const { storage } = options;
  const failures: unknown[] = [];
  const passed = new Set<string>();
  for (;;) {
    const workspaces = await storage.system((trx) => workspacesOfDistrusted(trx, [...passed]));
    if (workspaces.length === 0 || signal.aborted) break;
    for (const workspaceId of workspaces) {
      if (signal.aborted) break;
      try {
        if (!(await revalidateIn(options, workspaceId))) passed.add(workspaceId);
      } catch (error) {
        // The others come all the same; this one is found again in the next round.
        passed.add(workspaceId);
        failures.push(error);
      }
    }
  }
  if (failures.length > 0)
    throw new AggregateError(failures, `agents of ${failures.length} workspaces were not revalidated`);
}

/** True when a revalidation has come to its end and done something, so that it is worth to look for agents that are left. */
async function revalidateIn(options: SignerRevocationOptions, workspaceId: string): Promise<boolean> {
  const { audit, revalidation } = options;
  const begin = async (scope: UnitScope, unannounced: boolean) => {
    const agentIds = await distrustedIn(scope.trx, workspaceId);
    if (agentIds.length === 0) return undefined;
    const { hash } = await options.head(scope.trx, workspaceId);
    const request = {
      workspaceId,
      policyHash: hash,
      cause: 'revocation',
      actor: ACTOR,
      agentIds,
      unannounced,
    } as const;
    return revalidation.begin(scope, request);
  };
  const commit = (unannounced: boolean) =>
    audit.commit({ chain: workspaceId, brake: unannounced, work: (scope) => begin(scope, unannounced) });
  const begun = await commit(false).catch((error: unknown) => {
    // Whoever must be stopped does not wait for a signature; that the signer lost its trust is an event of its own.
    if (nothingCanBeSigned(error)) return commit(true);
    throw error;
  });
  if (begun === undefined) return false;
  const { state, invalidated } = await revalidation.follow(workspaceId, begun.id, FOLLOW_MS);
  return state === 'done' && invalidated > 0;
}

const DISTRUSTED = sql`signers s JOIN agent_proofs p ON p.signer_id = s.signer_id
  JOIN agents a ON a.workspace_id = p.workspace_id AND a.id = p.agent_id AND a.proof_id = p.id
  WHERE s.purpose = 'proof' AND s.state IN ('revoked', 'compromised') AND a.mode = 'governed' AND a.invalidation IS NULL
    AND NOT EXISTS (
      SELECT FROM revalidations r
      WHERE r.workspace_id = p.workspace_id AND r.state = 'running' AND r.cause = 'revocation'
    )`;

/** Workspaces with such agents; not those where they are being revalidated. */
async function workspacesOfDistrusted(trx: Trx, passed: readonly string[]): Promise<string[]> {
  const { rows } = await sql<{ workspace: string }>`
    SELECT DISTINCT p.workspace_id AS workspace FROM ${DISTRUSTED} AND p.workspace_id <> ALL(${[...passed]}::text[])
    ORDER BY 1`.execute(trx);
  return rows.map(({ workspace }) => workspace);
}

/** Under the lock and ascending. */
async function distrustedIn(trx: Trx, workspaceId: string): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    SELECT a.id FROM ${DISTRUSTED} AND p.workspace_id = ${workspaceId} ORDER BY a.id LIMIT ${MAX_AGENTS}`.execute(trx);
  return rows.map(({ id }) => id);
}
