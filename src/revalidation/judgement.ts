import { setTimeout as pause } from 'node:timers/promises';

import type { AdmissionSubject } from '../admission/subject.ts';
import type { PolicyHead } from '../policy/head.ts';
import type { Recheck, RecheckOutcome } from '../promotion/recheck.ts';
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
  readonly outcome: RecheckOutcome;
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
  const { head, subjects } = await deps.storage.read(run.workspaceId, async (trx) => ({
    head: await deps.head(trx, run.workspaceId),
    subjects: await deps.loadMany(trx, run.workspaceId, ids),
  }));
  if (head.hash !== run.policyHash) return 'superseded';
  const governed = subjects.filter((subject) => subject.mode === 'governed');
  const ruled = await rule(
    deps,
    // Only a release brings an invalidated one back, whatever it would come to now.
    governed.filter((subject) => subject.invalidation === null),
  );
  const { passed, unsigned } = await renewAll(deps, head, ruled, mode);
  return {
    passed,
    failed: ruled.flatMap(({ subject, outcome }) =>
      outcome.outcome === 'valid'
        ? []
        : [{ subject, invalidation: { agentId: subject.agentId, denies: outcome.denies } }],
    ),
    results: [...governed.flatMap(standing), ...ruled.map(resultOf)],
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

function standing({ agentId, invalidation }: AdmissionSubject): AgentResult[] {
  return invalidation === null ? [] : [{ agentId, status: 'GOVERNED_INVALIDATED', denies: [...invalidation.denies] }];
}

function resultOf({ subject: { agentId }, outcome }: Ruled): AgentResult {
  return outcome.outcome === 'valid'
    ? { agentId, status: 'GOVERNED_VALID' }
    : { agentId, status: 'GOVERNED_INVALIDATED', denies: [...outcome.denies] };
}
