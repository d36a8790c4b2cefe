import type { Denial } from '../admission/check.ts';
import type { AdmissionSubject } from '../admission/subject.ts';
import type { AuditAppender, UnitScope } from '../audit/append.ts';
import { StaleRead } from '../audit/errors.ts';
import type { Actor } from '../audit/event.ts';
import { SignerError } from '../crypto/signer.ts';
import type { PolicyHead } from '../policy/head.ts';
import type { Recheck } from '../promotion/recheck.ts';
import type { ProofStatement } from '../proofs/statement.ts';
import type { Trx } from '../storage/database.ts';
import type { Storage } from '../storage/storage.ts';
import { LeaseLost } from './errors.ts';
import type { AgentResult, RenewedProof } from './outcome.ts';
import { advance, holdLease, type Invalidation, type Lease, storeInvalidations, storeRenewals } from './store.ts';

/** Rounds over agents whose rows change while they are checked; what never holds still is left for the next attempt. */
const MAX_ROUNDS = 5;
/** Denials of one agent in its event, and characters of each text: an event's body is bounded. */
const MAX_DENIES = 32;
const MAX_TEXT = 500;
const ACTOR: Actor = { id: 'castellan', kind: 'system' };

/** What the pages of one revalidation have in common. */
export interface PageRun {
  readonly workspaceId: string;
  readonly id: string;
  readonly policyHash: string;
  readonly lease: () => Lease;
}

export interface PageDependencies {
  readonly storage: Storage;
  readonly audit: AuditAppender;
  readonly head: (trx: Trx, workspaceId: string) => Promise<PolicyHead>;
  readonly bumpRevision: (trx: Trx, workspaceId: string) => Promise<void>;
  /** The agents as stored, in any order; one that is gone is left out. */
  readonly loadMany: (trx: Trx, workspaceId: string, ids: readonly string[]) => Promise<readonly AdmissionSubject[]>;
  /** Fingerprints of the same rows as loadMany's, by agent id. */
  readonly fingerprints: (
    trx: Trx,
    workspaceId: string,
    ids: readonly string[],
  ) => Promise<ReadonlyMap<string, string>>;
  /** The old proof must hold, then the policy decides; rejects only when it could not be asked. */
  readonly recheck: Recheck;
  /** Whether a proof that holds is to be replaced: its policy is not the active one, or its life is nearly over. */
  readonly needsRenewal: (statement: ProofStatement, head: PolicyHead, now: number) => boolean;
  /** Signs; rejects with SignerError. */
  readonly renew: (subject: AdmissionSubject, statement: ProofStatement, head: PolicyHead) => Promise<RenewedProof>;
  /** In the unit that stores proofs: SignerError unless their signer is still in force. */
  readonly requireSigner: (trx: Trx, now: number) => Promise<void>;
  readonly observe: { invalidated(agents: number): void };
}

/** `restrict`: only what fails is acted on, for nothing can be signed now. */
export type PageMode = 'full' | 'restrict';

export type PageEnd = 'committed' | 'superseded' | 'unsigned';

interface Passed {
  readonly subject: AdmissionSubject;
  readonly proof: RenewedProof | undefined;
}

/** What agents came to; nothing is stored yet. */
export type JudgedPage = Judged | 'superseded';

interface Judged {
  readonly passed: readonly Passed[];
  readonly failed: readonly { subject: AdmissionSubject; invalidation: Invalidation }[];
  readonly results: readonly AgentResult[];
  /** Not every proof that is due is signed; those agents stay as they are. */
  readonly unsigned: boolean;
}

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

/** Checks agents outside any lock and signs their new proofs. Rejects when one could not be checked. */
export async function judgePage(
  deps: PageDependencies,
  run: PageRun,
  ids: readonly string[],
  mode: PageMode,
): Promise<JudgedPage> {
  const { head, subjects } = await deps.storage.read(run.workspaceId, async (trx) => ({
    head: await deps.head(trx, run.workspaceId),
    subjects: await deps.loadMany(trx, run.workspaceId, ids),
  }));
  if (head.hash !== run.policyHash) return 'superseded';
  const passed: Passed[] = [];
  const failed: { subject: AdmissionSubject; invalidation: Invalidation }[] = [];
  const results: AgentResult[] = [];
  let unsigned = mode === 'restrict';
  await Promise.all(
    subjects.map(async (subject) => {
      if (subject.mode !== 'governed') return;
      const { agentId } = subject;
      // Only a release brings it back, whatever it would come to now.
      if (subject.invalidation !== null) {
        results.push({ agentId, status: 'GOVERNED_INVALIDATED', denies: [...subject.invalidation.denies] });
        return;
      }
      const outcome = await deps.recheck(subject);
      if (outcome.outcome === 'invalid') {
        failed.push({ subject, invalidation: { agentId, denies: outcome.denies } });
        results.push({ agentId, status: 'GOVERNED_INVALIDATED', denies: [...outcome.denies] });
        return;
      }
      results.push({ agentId, status: 'GOVERNED_VALID' });
      const due = deps.needsRenewal(outcome.statement, head, subject.now);
      if (!due || mode === 'restrict') {
        passed.push({ subject, proof: undefined });
        return;
      }
      try {
        passed.push({ subject, proof: await deps.renew(subject, outcome.statement, head) });
      } catch (error) {
        if (!(error instanceof SignerError)) throw error;
        unsigned = true;
      }
    }),
  );
  return { passed, failed, results, unsigned };
}

/** Ids of agents that changed meanwhile. The unit is a brake: whoever fails is stopped, signer or not. */
async function commitInvalidations(
  deps: PageDependencies,
  run: PageRun,
  { failed }: Judged,
): Promise<readonly string[] | 'superseded'> {
  if (failed.length === 0) return [];
  const { workspaceId, id } = run;
  let invalidated = 0;
  const stale = await deps.audit.commit({
    chain: workspaceId,
    brake: true,
    work: async (scope) => {
      if (await endWhenSuperseded(deps, run, scope)) return 'superseded' as const;
      const changed = await changedSince(
        deps,
        run,
        scope.trx,
        failed.map(({ subject }) => subject),
      );
      const still = failed.filter(({ subject }) => !changed.has(subject.agentId));
      invalidated = still.length;
      if (still.length === 0) return [...changed];
      const now = new Date(scope.now);
      await storeInvalidations(
        scope.trx,
        workspaceId,
        run.policyHash,
        still.map((one) => one.invalidation),
        now,
      );
      for (const { subject, invalidation } of still) {
        const denies = bounded(invalidation.denies);
        const wasRunning = ['starting', 'running', 'stopping'].includes(subject.status);
        const { agentId } = subject;
        const payload = { agentId, revalidationId: id, policyHash: run.policyHash, wasRunning, denies };
        scope.append({ type: 'agent.invalidated', actor: ACTOR, payload });
      }
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
      const changed = await changedSince(
        deps,
        run,
        scope.trx,
        passed.map(({ subject }) => subject),
      );
      const proofs = renewed.flatMap(({ proof }) => (proof === undefined || changed.has(proof.agentId) ? [] : [proof]));
      const now = new Date(scope.now);
      if (proofs.length > 0) {
        await deps.requireSigner(scope.trx, scope.now);
        await storeRenewals(scope.trx, workspaceId, proofs, now);
      }
      for (const proof of proofs) appendRenewal(scope, run, proof);
      if (failing.length + changed.size === 0) {
        await advance(scope.trx, workspaceId, id, { afterId: page.at(-1) ?? '', done: page.length }, now);
      }
      return [...changed];
    },
  });
  return commit.catch((error: unknown) => {
    if (error instanceof SignerError) return 'unsigned' as const;
    throw error;
  });
}

/** As much of the denials as an event holds; the agent's row has them in full. */
function bounded(denies: readonly Denial[]) {
  return denies.slice(0, MAX_DENIES).map(({ code, reason, severity, check }) => ({
    code: clip(code),
    reason: clip(reason),
    severity,
    check: clip(check),
  }));
}

function clip(text: string): string {
  return text.slice(0, MAX_TEXT).toWellFormed();
}

function appendRenewal(scope: UnitScope, run: PageRun, proof: RenewedProof): void {
  const { agentId, policyHash } = proof;
  scope.append({
    type: 'proof.renewed',
    actor: ACTOR,
    payload: {
      agentId,
      proofId: proof.id,
      previousProofId: proof.previousProofId,
      proofDigest: proof.digest,
      policyHash,
      signerId: proof.signerId,
      expiresAt: proof.expiresAt.toISOString(),
    },
  });
  scope.append({ type: 'agent.revalidated', actor: ACTOR, payload: { agentId, revalidationId: run.id, policyHash } });
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
  subjects: readonly AdmissionSubject[],
): Promise<Set<string>> {
  if (subjects.length === 0) return new Set();
  const ids = subjects.map((subject) => subject.agentId);
  const present = await deps.fingerprints(trx, run.workspaceId, ids);
  return new Set(
    subjects.filter(({ agentId, fingerprint }) => present.get(agentId) !== fingerprint).map(({ agentId }) => agentId),
  );
}
