import { NotFound } from '../http/problem.ts';
import type { Trx } from '../storage/database.ts';
import type {} from './table.ts';

/** What a workspace is governed by at this moment. */
export interface PolicyHead {
  readonly policySet: string;
  readonly version: number;
  readonly hash: string;
  /** The candidate that is evaluated beside the active version and never enforced. */
  readonly shadow: { readonly version: number; readonly hash: string } | null;
  readonly activatedAt: Date;
  readonly activatedBy: string;
  /** Rises with every change of the head or of the workspace's invalidated agents. */
  readonly revision: number;
  /** The signed event that binds hash and wasm of the active version. */
  readonly activationSeq: number;
  readonly shadowSeq: number | null;
}

/**
 * The head as `trx` sees it; under the chain's lock no later version can exist. NotFound when the workspace has none,
 * that is: when there is no such workspace.
 */
export async function readHead(trx: Trx, workspaceId: string): Promise<PolicyHead> {
  const row = await trx
    .selectFrom('policy_heads')
    .selectAll()
    .where('workspace_id', '=', workspaceId)
    .executeTakeFirst();
  if (row === undefined) throw new NotFound();
  const shadow =
    row.shadow_version === null || row.shadow_hash === null
      ? null
      : { version: row.shadow_version, hash: row.shadow_hash };
  return {
    policySet: row.policy_set,
    version: row.version,
    hash: row.hash,
    shadow,
    activatedAt: row.activated_at,
    activatedBy: row.activated_by,
    revision: Number(row.revision),
    activationSeq: Number(row.activation_seq),
    shadowSeq: row.shadow_seq === null ? null : Number(row.shadow_seq),
  };
}
