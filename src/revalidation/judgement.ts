import { setTimeout as pause } from 'node:timers/promises';

import type { Denial } from '../admission/check.ts';
import type { AdmissionSubject } from '../admission/subject.ts';
import type { PolicyHead } from '../policy/head.ts';
import type { Recheck, RecheckOutcome } from '../promotion/recheck.ts';
import { needsReapproval } from '../proofs/reapproval.ts';
import type { ProofStatement } from '../proofs/statement.ts';
import type { Trx } from '../storage/database.ts';
import type { Storage } from '../storage/storage.ts';
import { JudgementOverdue } from './errors.ts';
import type { AgentResult, RenewedProof } from './outcome.ts';
import { SIGN_DEADLINE_MS } from './renew.ts';
import type { DueProof, Renewals } from './renew-many.ts';
import type { Invalidation } from './store.ts';

/** Ms; below the lease, so that whoever hangs gives up before another replica takes over. */
const JUDGE_LIMIT_MS = 25_000;
/** Ms; longer than the policy engine turns away a policy that it had to stop (evaluator/policy-cache.ts). */
const SECOND_LOOK_MS = 1_200;

export interface JudgeDependencies {
  readonly storage: Storage;
  readonly head: (trx: Trx, workspaceId: string) => Promise<PolicyHead>;
  /** The agents as stored, in any order; one that is gone is left out. */
  readonly loadMany: (trx: Trx, workspaceId: string, ids: readonly string[]) => Promise<readonly AdmissionSubject[]>;
  /** The old proof must hold, then the policy decides; rejects only when it could not be asked. */
  readonly recheck: Recheck;
  /** Whether a proof that holds is to be replaced: its policy is not the active one, or its life is nearly over. */
  readonly needsRenewal: (statement: ProofStatement, head: PolicyHead, now: number) => boolean;
  /** Whether the workspace wants approvals again for another policy. */
  readonly reapproves: (trx: Trx, workspaceId: string) => Promise<boolean>;
  /** Signs, as few statements as it can; tells what the signer did not sign. */
  readonly renew: (due: readonly DueProof[], head: PolicyHead, signal: AbortSignal) => Promise<Renewals>;
}

/** `restrict`: only what fails is acted on, for nothing can be signed now. */
export type PageMode = 'full' | 'restrict';

/** What agents came to; nothing is stored yet. `superseded`: another policy is active by now. */
export type JudgedPage = Judged | 'superseded';

export interface Judged {
  readonly passed: readonly Passed[];
  readonly failed: readonly { subject: AdmissionSubject; invalidation: Invalidation }[];
  readonly results: readonly AgentResult[];
  /** Not every proof that is due is signed; those agents stay as they are. */
  readonly unsigned: boolean;
}

interface Passed {
  readonly subject: AdmissionSubject;
  readonly proof: RenewedProof | undefined;
}

interface Ruled {
  readonly subject: AdmissionSubject;
  readonly outcome: RecheckOutcome | Restricted;
}

/** It passes, and humans must approve it again before it has a proof of the active policy: it stays as it is. */
interface Restricted {
  readonly outcome: 'restricted';
}

/** Checks agents outside any lock and signs their new proofs. Rejects when one could not be checked, or not in time. */
export async function judgePage(
  deps: JudgeDependencies,
  run: { readonly workspaceId: string; readonly policyHash: string },
  ids: readonly string[],
  mode: PageMode,
): Promise<JudgedPage> {
  const { promise: overdue, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new JudgementOverdue()), JUDGE_LIMIT_MS);
  try {
    return await Promise.race([judge(deps, run, ids, mode), overdue]);
  } finally {
    clearTimeout(timer);
  }
}

async function judge(
  deps: JudgeDependencies,
  run: { readonly workspaceId: string; readonly policyHash: string },
  ids: readonly string[],
  mode: PageMode,
): Promise<JudgedPage> {
  const { head, reapproves, subjects } = await deps.storage.read(run.workspaceId, async (trx) => ({
    head: await deps.head(trx, run.workspaceId),
    reapproves: await deps.reapproves(trx, run.workspaceId),
    subjects: await deps.loadMany(trx, run.workspaceId, ids),
  }));
  if (head.hash !== run.policyHash) return 'superseded';
  const governed = subjects.filter((subject) => subject.mode === 'governed');
  // Only a release brings an invalidated one back, whatever it would come to now.
  const standing = governed.filter((subject) => subject.invalidation === null);
  const seen = await rule(deps, standing);
  const ruled = reapproves ? seen.map((one) => restrict(one, head)) : seen;
  const { passed, unsigned } = await renewAll(deps, head, ruled, mode);
  return {
    passed,
    failed: ruled.flatMap(({ subject, outcome }) =>
      outcome.outcome === 'invalid'
        ? [{ subject, invalidation: { agentId: subject.agentId, denies: outcome.denies } }]
        : [],
    ),
    results: [...governed.flatMap(invalidated), ...ruled.map(resultOf)],
    unsigned,
  };
}

/**
 * All at once. Those for which there was no answer get a second look, one after the other: an evaluation is also turned
 * away because others had to be stopped. A policy that really fails does so again. Rejects when it cannot be asked.
 */
async function rule(deps: JudgeDependencies, subjects: readonly AdmissionSubject[]): Promise<Ruled[]> {
  const look = async (subject: AdmissionSubject): Promise<Ruled> => ({ subject, outcome: await deps.recheck(subject) });
  const first = await Promise.allSettled(subjects.map(look));
  const ruled: Ruled[] = [];
  for (const [index, subject] of subjects.entries()) {
    const seen = first[index];
    if (seen?.status === 'fulfilled' && !isUnanswered(seen.value)) ruled.push(seen.value);
    else {
      await pause(SECOND_LOOK_MS);
      ruled.push(await look(subject));
    }
  }
  return ruled;
}

function isUnanswered({ outcome }: Ruled): boolean {
  return outcome.outcome === 'invalid' && outcome.unanswered === true;
}

async function renewAll(
  deps: JudgeDependencies,
  head: PolicyHead,
  ruled: readonly Ruled[],
  mode: PageMode,
): Promise<Pick<Judged, 'passed' | 'unsigned'>> {
  const passed: Passed[] = [];
  const due: DueProof[] = [];
  for (const { subject, outcome } of ruled) {
    if (outcome.outcome === 'restricted') passed.push({ subject, proof: undefined });
    if (outcome.outcome !== 'valid') continue;
    const { statement } = outcome;
    if (mode === 'restrict' || !deps.needsRenewal(statement, head, subject.now)) {
      passed.push({ subject, proof: undefined });
    } else due.push({ subject, statement });
  }
  if (due.length === 0) return { passed, unsigned: mode === 'restrict' };
  const { proofs, unsigned } = await deps.renew(due, head, AbortSignal.timeout(SIGN_DEADLINE_MS));
  const byAgent = new Map(proofs.map((proof) => [proof.agentId, proof]));
  for (const { subject } of due) {
    const proof = byAgent.get(subject.agentId);
    if (proof !== undefined) passed.push({ subject, proof });
  }
  return { passed, unsigned };
}

/** The approvals of an agent that passes do not carry over where the workspace wants them again (contract §7). */
function restrict(ruled: Ruled, head: PolicyHead): Ruled {
  const { subject, outcome } = ruled;
  if (outcome.outcome !== 'valid' || !needsReapproval(outcome.statement, head.hash)) return ruled;
  return { subject, outcome: { outcome: 'restricted' } };
}

function invalidated({ agentId, invalidation }: AdmissionSubject): AgentResult[] {
  return invalidation === null ? [] : [{ agentId, status: 'GOVERNED_INVALIDATED', denies: [...invalidation.denies] }];
}

function resultOf({ subject: { agentId }, outcome }: Ruled): AgentResult {
  switch (outcome.outcome) {
    case 'valid':
      return { agentId, status: 'GOVERNED_VALID' };
    case 'restricted':
      return { agentId, status: 'GOVERNED_RESTRICTED', denies: [APPROVED_FOR_ANOTHER] };
    case 'invalid':
      return { agentId, status: 'GOVERNED_INVALIDATED', denies: [...outcome.denies] };
  }
}

const APPROVED_FOR_ANOTHER: Denial = {
  code: 'APPROVAL_STALE',
  reason: 'it was approved for another policy; ask for its promotion again',
  severity: 'RESTRICT',
  check: 'approvals',
};
