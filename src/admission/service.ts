import type { Lookup } from '../audit/append.ts';
import type { Clock } from '../clock.ts';
import type { VerificationKey } from '../crypto/verify.ts';
import { isUuid } from '../ids.ts';
import { referredStatement } from '../proofs/reference.ts';
import type { KeyRow } from '../signers/keys.ts';
import type { Trx } from '../storage/database.ts';
import type { Storage } from '../storage/storage.ts';
import { CHAIN_TIMEOUT_MS, type CheckOutcome, runChain } from './chain.ts';
import type { AdmissionCheck, Denial } from './check.ts';
import { admissionChecks } from './checks/index.ts';
import { proofPresence } from './checks/proof-presence.ts';
import { sandboxExpiry } from './checks/sandbox-expiry.ts';
import { createSignatureCheck } from './checks/signature.ts';
import { signerRevocation } from './checks/signer-revocation.ts';
import { specHash, storedSpec } from './checks/spec-hash.ts';
import { AdmissionOverloaded } from './errors.ts';
import { killSwitch } from './interceptors/kill-switch.ts';
import { proofExpiry } from './interceptors/proof-expiry.ts';
import { quarantine } from './interceptors/quarantine.ts';
import { createRuntimePolicy } from './interceptors/runtime-policy.ts';
import { workspaceState } from './interceptors/workspace-state.ts';
import { askPolicy, type PolicyActor, type PolicyAnswers, policyInput, policyOf } from './policy-question.ts';
import { askShadow, type ShadowAnswer } from './shadow.ts';
import { createSharedProofs } from './shared-proofs.ts';
import { type FingerprintRow, findFingerprints, findSubjects, fingerprintLookup, subjectRead } from './store.ts';
import type { AdmissionSubject } from './subject.ts';
import { subjectOf } from './subject-of.ts';
import { interceptorError } from './verdict.ts';
import { createVerifiedEnvelopes, type VerifiedEnvelopes } from './verified-envelopes.ts';

/** What keeps an agent from being promoted before any policy is asked. */
const PROMOTION_LINKS = [sandboxExpiry, proofPresence, storedSpec, quarantine, workspaceState];

/** What keeps the commands of an agent from being tried in a sandbox; its proof and its policy say nothing about that. */
const SANDBOX_RUN_LINKS = [sandboxExpiry, storedSpec, quarantine, killSwitch, workspaceState];

/** Who asks, from the request's principal. */
interface AdmissionActor {
  readonly id: string;
  readonly kind: string;
  readonly roles: readonly string[];
}

export interface AdmissionResult {
  readonly allowed: boolean;
  /** Exactly the seven of the contract (§9), in its order. */
  readonly checks: readonly CheckOutcome[];
  readonly interceptors: readonly CheckOutcome[];
  /** In chain order; empty exactly when allowed. */
  readonly denies: readonly Denial[];
  /** What the candidate policy would have answered; absent when there is none. */
  readonly shadow?: ShadowAnswer;
}

export interface PolicyJudgement {
  readonly denies: readonly Denial[];
  readonly shadow?: ShadowAnswer;
}

export type { FingerprintRow } from './store.ts';

/** Decides whether an agent may start, from stored rows alone; changes nothing. */
export interface AdmissionService {
  /** Phase one: everything the decision rests on, in one statement. Undefined: no such agent here. */
  load(workspaceId: string, agentId: string, actor: AdmissionActor): Promise<AdmissionSubject | undefined>;
  /** As load, for many and in the caller's transaction, by id ascending. Agents that do not exist are left out. */
  loadMany(trx: Trx, workspaceId: string, ids: readonly string[], actor: AdmissionActor): Promise<AdmissionSubject[]>;
  /**
   * The seven checks and the interceptors, failing closed. Rejects only when the policy could not be loaded
   * (POLICY_UNAVAILABLE, DATABASE_UNAVAILABLE, OVERLOADED): nothing was decided.
   */
  evaluate(subject: AdmissionSubject): Promise<AdmissionResult>;
  /** Whether an agent may be asked about at all for promotion; empty when nothing stands in the way. Never rejects. */
  beforePromotion(subject: AdmissionSubject): Promise<readonly Denial[]>;
  /** Whether a sandbox run of the agent may be made; empty when nothing stands in the way. Never rejects. */
  beforeSandboxRun(subject: AdmissionSubject): Promise<readonly Denial[]>;
  /**
   * Whether the proof an agent has still holds, whatever policy it is of; empty when it does. Rejects with
   * AdmissionOverloaded when that could not be found out in time.
   */
  proofHolds(subject: AdmissionSubject): Promise<readonly Denial[]>;
  /**
   * What `castellan.promotion` of the active version says, and the candidate beside it. Rejects only when the policy
   * could not be asked (POLICY_UNAVAILABLE, DATABASE_UNAVAILABLE); a version without that package denies.
   */
  judge(
    subject: AdmissionSubject,
    mode: 'promote' | 'revalidate',
    actor: PolicyActor,
    extra?: Readonly<Record<string, unknown>>,
  ): Promise<PolicyJudgement>;
  /** Phase two, under the chain's lock: the fingerprint of the same rows now. Undefined: the agent is gone. */
  reread(
    trx: Trx,
    workspaceId: string,
    agentId: string,
  ): Promise<{ readonly fingerprint: string; readonly policyHash: string } | undefined>;
  /** As reread, for prepared units. */
  readonly fingerprintLookup: Lookup<FingerprintRow>;
  /** Fingerprints by agent id; an agent that is gone has none. */
  fingerprints(trx: Trx, workspaceId: string, ids: readonly string[]): Promise<ReadonlyMap<string, string>>;
  /** A proof that this process has just made: its signature needs no second look. */
  readonly remember: VerifiedEnvelopes['remember'];
}

export interface AdmissionOptions {
  readonly storage: Storage;
  readonly policy: PolicyAnswers;
  readonly keyOf: (row: KeyRow) => VerificationKey | undefined;
  readonly clock: Clock;
  /** Told of checks that failed, for the log. */
  readonly onFailure: (check: string, error: unknown) => void;
  /** ms for the whole chain. */
  readonly timeoutMs?: number;
  /** Run after the ones of this slice. */
  readonly interceptors?: readonly AdmissionCheck[];
}

export function createAdmissionService(options: AdmissionOptions): AdmissionService {
  const { storage, policy, keyOf, clock, onFailure, timeoutMs = CHAIN_TIMEOUT_MS } = options;
  const readSubject = subjectRead(storage);
  const { verify, remember } = createVerifiedEnvelopes();
  const shared = createSharedProofs(storage);
  const signature = createSignatureCheck(verify, ({ workspaceId, proof }) => {
    const digest = referredStatement(proof?.envelope);
    if (digest !== undefined) shared.forget(workspaceId, digest);
  });
  const checks = admissionChecks(signature);
  const proofLinks = [proofPresence, specHash, signerRevocation, signature, proofExpiry];
  const interceptors = [
    quarantine,
    killSwitch,
    workspaceState,
    proofExpiry,
    createRuntimePolicy(policy),
    ...(options.interceptors ?? []),
  ];
  const links = [...checks, ...interceptors];

  async function load(workspaceId: string, agentId: string, actor: AdmissionActor) {
    if (!isUuid(agentId)) return undefined;
    const row = await readSubject(workspaceId, agentId);
    if (row === undefined) return undefined;
    const digest = referredStatement(row.envelope);
    const statement = digest === undefined ? undefined : await shared.read(workspaceId, digest);
    return subjectOf(row, { workspaceId, actor, now: clock(), keyOf, shared: statement });
  }

  async function loadMany(trx: Trx, workspaceId: string, ids: readonly string[], actor: AdmissionActor) {
    if (ids.length === 0) return [];
    const rows = await findSubjects(trx, workspaceId, ids);
    const digests = rows.map((row) => referredStatement(row.envelope));
    const wanted = digests.filter((digest) => digest !== undefined);
    const statements = await shared.readMany(trx, workspaceId, wanted);
    const context = { workspaceId, actor, now: clock(), keyOf };
    return rows.map((row, index) => {
      const digest = digests[index];
      return subjectOf(row, { ...context, shared: digest === undefined ? undefined : statements.get(digest) });
    });
  }

  /** Loading is not part of a check's time: a replica that has just started denies nobody (contract §7). */
  async function evaluate(subject: AdmissionSubject): Promise<AdmissionResult> {
    const first = await askPrepared(subject);
    if (first !== undefined) return first;
    const second = await askPrepared(subject);
    if (second === undefined) throw new AdmissionOverloaded('the policy was pushed out while it was asked');
    return second;
  }

  /** Undefined: others pushed the policy out before it had answered, which says nothing about the subject. */
  async function askPrepared(subject: AdmissionSubject): Promise<AdmissionResult | undefined> {
    const inForce = policyOf(subject);
    await policy.prepare(subject.workspaceId, inForce);
    const question = {
      policyPackage: 'castellan.runtime' as const,
      input: policyInput(subject, 'start', subject.actor),
    };
    const [{ outcomes, denies, timedOut }, shadow] = await Promise.all([
      runChain(links, subject, { timeoutMs, onFailure }),
      askShadow(policy, subject, question, { timeoutMs, onFailure }),
    ]);
    if (timedOut && !policy.isPrepared(subject.workspaceId, inForce)) return undefined;
    return {
      allowed: denies.length === 0,
      checks: outcomes.slice(0, checks.length),
      interceptors: outcomes.slice(checks.length),
      denies,
      ...(shadow === undefined ? {} : { shadow }),
    };
  }

  async function beforePromotion(subject: AdmissionSubject): Promise<readonly Denial[]> {
    const { denies } = await runChain(PROMOTION_LINKS, subject, { timeoutMs, onFailure });
    return denies;
  }

  async function beforeSandboxRun(subject: AdmissionSubject): Promise<readonly Denial[]> {
    const { denies } = await runChain(SANDBOX_RUN_LINKS, subject, { timeoutMs, onFailure });
    return denies;
  }

  async function proofHolds(subject: AdmissionSubject): Promise<readonly Denial[]> {
    const { denies, timedOut } = await runChain(proofLinks, subject, { timeoutMs, onFailure });
    // What only took long must not cost an agent its place.
    if (timedOut) throw new AdmissionOverloaded('the proof could not be looked at in time');
    return denies;
  }

  async function judge(
    subject: AdmissionSubject,
    mode: 'promote' | 'revalidate',
    actor: PolicyActor,
    extra: Readonly<Record<string, unknown>> = {},
  ): Promise<PolicyJudgement> {
    const { workspaceId, policy: head } = subject;
    await policy.prepare(workspaceId, policyOf(subject));
    const question = { policyPackage: 'castellan.promotion' as const, input: policyInput(subject, mode, actor, extra) };
    const [denies, shadow] = await Promise.all([
      askPolicy(policy, { workspaceId, hash: head.hash, activationSeq: head.activationSeq, ...question }),
      askShadow(policy, subject, question, { timeoutMs, onFailure }),
    ]);
    return {
      denies: denies ?? [interceptorError('castellan.promotion', 'the policy set has no such package')],
      ...(shadow === undefined ? {} : { shadow }),
    };
  }

  async function reread(trx: Trx, workspaceId: string, agentId: string) {
    const [row] = await findFingerprints(trx, workspaceId, [agentId]);
    return row === undefined ? undefined : { fingerprint: row.fingerprint, policyHash: row.policy_hash };
  }

  async function fingerprints(trx: Trx, workspaceId: string, ids: readonly string[]) {
    const rows = ids.length === 0 ? [] : await findFingerprints(trx, workspaceId, ids);
    return new Map(rows.map((row) => [row.id, row.fingerprint]));
  }

  return {
    load,
    loadMany,
    evaluate,
    beforePromotion,
    beforeSandboxRun,
    proofHolds,
    judge,
    reread,
    fingerprints,
    fingerprintLookup,
    remember,
  };
}
