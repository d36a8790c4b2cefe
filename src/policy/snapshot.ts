import type { Trx } from '../storage/database.ts';
import type { Storage } from '../storage/storage.ts';
import { type PolicyHead, readHead } from './head.ts';
import { findInvalidated } from './store.ts';
import { type BundleContent, readBundle } from './versions.ts';

/** Contract §5. */
const MAX_INVALIDATED = 1000;

/** Which signers are no longer trusted; `revision` rises whenever the registry changes. */
interface SignerRevocations {
  readonly revoked: string[];
  readonly revision: number;
}

export type FindRevocations = (trx: Trx) => Promise<SignerRevocations>;

/** What an agent's host needs to enforce the workspace's policy by itself. */
interface PolicySnapshot {
  readonly policySet: string;
  readonly version: number;
  readonly hash: string;
  readonly bundle: BundleContent;
  /** How the policy of this snapshot is to be used; a candidate under trial is never in a snapshot. */
  readonly mode: 'enforce';
  readonly activatedAt: string;
  readonly activatedBy: string;
  readonly revokedSigners: string[];
  readonly invalidatedAgents: string[];
  readonly invalidatedTotal: number;
  readonly revision: number;
}

export interface SnapshotReader {
  /** The entity tag's text of the present snapshot: two small rows are read. */
  tag(workspaceId: string): Promise<string>;
  /** The same as `trx` sees it; under the chain's lock it holds until the commit, but for a revocation of a signer. */
  tagIn(trx: Trx, workspaceId: string): Promise<string>;
  /** The snapshot and its tag's text, both of one moment. POLICY_UNAVAILABLE when the stored bundle was edited.
   * `onlyAgent` hides every other agent, for one that may only see itself. */
  read(workspaceId: string, onlyAgent?: string): Promise<{ tag: string; snapshot: PolicySnapshot }>;
}

export function createSnapshotReader(options: { storage: Storage; findRevocations: FindRevocations }): SnapshotReader {
  const { storage, findRevocations } = options;

  function tag(workspaceId: string): Promise<string> {
    return storage.read(workspaceId, (trx) => tagIn(trx, workspaceId));
  }

  async function tagIn(trx: Trx, workspaceId: string): Promise<string> {
    const head = await readHead(trx, workspaceId);
    return tagOf(head, head.revision + (await findRevocations(trx)).revision);
  }

  function read(workspaceId: string, onlyAgent?: string): Promise<{ tag: string; snapshot: PolicySnapshot }> {
    return storage.read(workspaceId, async (trx) => {
      // Counters first: what changes after them is under a later revision, so no tag ever names newer content as older.
      const head = await readHead(trx, workspaceId);
      const signers = await findRevocations(trx);
      const invalidated = await findInvalidated(trx, workspaceId, MAX_INVALIDATED, onlyAgent);
      const revision = head.revision + signers.revision;
      const snapshot: PolicySnapshot = {
        policySet: head.policySet,
        version: head.version,
        hash: head.hash,
        bundle: await readBundle(trx, workspaceId, head),
        mode: 'enforce',
        activatedAt: head.activatedAt.toISOString(),
        activatedBy: head.activatedBy,
        revokedSigners: signers.revoked,
        invalidatedAgents: invalidated.ids,
        invalidatedTotal: invalidated.total,
        revision,
      };
      return { tag: tagOf(head, revision), snapshot };
    });
  }

  return { tag, tagIn, read };
}

function tagOf(head: PolicyHead, revision: number): string {
  return `${head.hash}.${revision}`;
}
