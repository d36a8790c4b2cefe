import type { AdmissionSubject } from '../admission/subject.ts';
import type { AuditAppender, UnitScope } from '../audit/append.ts';
import { nothingCanBeSigned, StaleRead } from '../audit/errors.ts';
import type { Trx } from '../storage/database.ts';
import { LeaseLost } from './errors.ts';
import { appendInvalidation, appendRenewals } from './events.ts';
import { type JudgeDependencies, type Judged, type JudgedPage, judgePage, type PageMode } from './judgement.ts';
import type { AgentResult } from './outcome.ts';
import { advance, holdLease, type Lease, storeInvalidations, storeRenewals } from './store.ts';

/** Rounds over agents whose rows change while they are checked; what never holds still is left for the next attempt. */
const MAX_ROUNDS = 5;

/** What the pages of one revalidation have in common. */
export interface PageRun {
  readonly workspaceId: string;
  readonly id: string;
  readonly policyHash: string;
  readonly lease: () => Lease;
}

export interface PageDependencies extends JudgeDependencies {
  readonly audit: AuditAppender;
  readonly bumpRevision: (trx: Trx, workspaceId: string) => Promise<void>;
  /** Fingerprints of the same rows as loadMany's, by agent id. */
  readonly fingerprints: (
    trx: Trx,
    workspaceId: string,
    ids: readonly string[],
  ) => Promise<ReadonlyMap<string, string>>;
  /** In the unit that stores proofs: SignerError unless their signer is still in force. */
  readonly requireSigner: (trx: Trx, now: number) => Promise<void>;
  readonly observe: { invalidated(agents: number): void };
}

type PageEnd = 'committed' | 'superseded' | 'unsigned';

/**
 * Commits what came of a page: invalidations first and even without a signer, then renewals together with the progress.
 * An agent whose rows changed since is judged again. `unsigned`: agents that fail are invalidated, but the progress did
 * not move, for proofs or events could not be signed.
 */
export async function commitPage(
  deps: PageDependencies,
  run: PageRun,
  page: { readonly ids: readonly string[]; readonly judged: JudgedPage },
  mode: PageMode,
  report: (results: readonly AgentResult[]) => void,
): Promise<PageEnd> {
  const { ids } = page;
  let { judged } = page;
  const results = new Map<string, AgentResult>();
  for (let round = 1; round <= MAX_ROUNDS; round += 1) {
    if (judged === 'superseded') return 'superseded';
    const failing = await commitInvalidations(deps, run, judged);
    if (failing === 'superseded') return 'superseded';
    // A page judged before the signer went away may be signed all the same; past the one that is not, it must wait.
    if (judged.unsigned || mode === 'restrict') {
      if (failing.length === 0) return 'unsigned';
      judged = await judgePage(deps, run, failing, 'restrict');
      continue;
    }
    const passing = await commitRenewals(deps, run, judged, ids, failing);
    if (passing === 'superseded') return 'superseded';
    const stale = passing === 'unsigned' ? failing : [...failing, ...passing];
    if (passing === 'unsigned' && stale.length === 0) return 'unsigned';
    for (const result of judged.results) if (!stale.includes(result.agentId)) results.set(result.agentId, result);
    if (stale.length === 0) {
      report(ids.flatMap((id) => results.get(id) ?? []));
      return 'committed';
    }
    judged = await judgePage(deps, run, stale, passing === 'unsigned' ? 'restrict' : 'full');
  }
  throw new StaleRead('an agent');
}

/** Ids of agents that changed meanwhile. The unit is a brake: whoever fails is stopped, signer or not. */
async function commitInvalidations(
  deps: PageDependencies,
  run: PageRun,
  { failed }: Judged,
): Promise<readonly string[] | 'superseded'> {
  if (failed.length === 0) return [];
  const { workspaceId, id, policyHash } = run;
  let invalidated = 0;
  const stale = await deps.audit.commit({
    chain: workspaceId,
    brake: true,
    work: async (scope) => {
      if (await endWhenSuperseded(deps, run, scope)) return 'superseded' as const;
      const changed = await changedSince(deps, run, scope.trx, failed);
      const still = failed.filter(({ subject }) => !changed.has(subject.agentId));
      invalidated = still.length;
      if (still.length === 0) return [...changed];
      const now = new Date(scope.now);
      const invalidations = still.map((one) => one.invalidation);
      await storeInvalidations(scope.trx, workspaceId, policyHash, invalidations, now);
      for (const one of still) appendInvalidation(scope, run, one);
      await deps.bumpRevision(scope.trx, workspaceId);
      await advance(scope.trx, workspaceId, id, { invalidated }, now);
      return [...changed];
    },
  });
  deps.observe.invalidated(invalidated);
  return stale;
}

/** Ids of agents that changed meanwhile. With none left over, the progress moves past the page in the same unit. */
async function commitRenewals(
  deps: PageDependencies,
  run: PageRun,
  { passed }: Judged,
  page: readonly string[],
  failing: readonly string[],
): Promise<readonly string[] | 'superseded' | 'unsigned'> {
  const { workspaceId, id } = run;
  const renewed = passed.filter(({ proof }) => proof !== undefined);
  const commit = deps.audit.commit({
    chain: workspaceId,
    // Without a renewal nothing but the progress is written, and that needs no signature.
    brake: renewed.length === 0,
    work: async (scope) => {
      if (await endWhenSuperseded(deps, run, scope)) return 'superseded' as const;
      const changed = await changedSince(deps, run, scope.trx, passed);
      const proofs = renewed.flatMap(({ proof }) => (proof === undefined || changed.has(proof.agentId) ? [] : [proof]));
      const now = new Date(scope.now);
      if (proofs.length > 0) {
        await deps.requireSigner(scope.trx, scope.now);
        await storeRenewals(scope.trx, workspaceId, proofs, now);
      }
      appendRenewals(scope, run, proofs);
      if (failing.length + changed.size === 0) {
        await advance(scope.trx, workspaceId, id, { afterId: page.at(-1) ?? '', done: page.length }, now);
      }
      return [...changed];
    },
  });
  return commit.catch((error: unknown) => {
    if (nothingCanBeSigned(error)) return 'unsigned' as const;
    throw error;
  });
}

/** Under the lock: the lease is still this worker's (else LeaseLost), and a newer policy ends the revalidation. */
async function endWhenSuperseded(deps: PageDependencies, run: PageRun, { trx, now }: UnitScope): Promise<boolean> {
  if (!(await holdLease(trx, run.workspaceId, run.id, run.lease()))) throw new LeaseLost();
  const head = await deps.head(trx, run.workspaceId);
  if (head.hash === run.policyHash) return false;
  await advance(trx, run.workspaceId, run.id, { finished: true }, new Date(now));
  return true;
}

async function changedSince(
  deps: PageDependencies,
  run: PageRun,
  trx: Trx,
  judged: readonly { readonly subject: AdmissionSubject }[],
): Promise<Set<string>> {
  const seen = judged.map(({ subject: { agentId, fingerprint } }) => ({ agentId, fingerprint }));
  if (seen.length === 0) return new Set();
  const ids = seen.map(({ agentId }) => agentId);
  const present = await deps.fingerprints(trx, run.workspaceId, ids);
  return new Set(
    seen.filter(({ agentId, fingerprint }) => present.get(agentId) !== fingerprint).map(({ agentId }) => agentId),
  );
}
