import type { Denial } from './check.ts';
import type { AdmissionSubject } from './subject.ts';
import { interceptorError } from './verdict.ts';

/** Denials of one evaluation, and characters of their texts: an audit event holds 65,535 bytes (audit/event.ts). */
const MAX_DENIALS = 32;
const MAX_CODE = 64;
const MAX_REASON = 256;

export type PolicyPackageName = 'castellan.promotion' | 'castellan.runtime';

/** What a decision's policy is known by. */
interface PolicyInForce {
  readonly hash: string;
  readonly activationSeq: number | null;
  readonly candidate: string | null;
}

/** The part of the policy slice that decisions need. */
export interface PolicyAnswers {
  /** Loads what will be asked. Rejects when it cannot be loaded in time; never for what the policy or its rows say. */
  prepare(workspaceId: string, policy: PolicyInForce): Promise<void>;
  /** False: it would have to be loaded (again). */
  isPrepared(workspaceId: string, policy: PolicyInForce): boolean;
  /**
   * Undefined: that version has no such package. Rejects when there is no usable answer. `activationSeq` is given for the
   * version that is enforced: it must be the active one by that event.
   */
  evaluate(
    workspaceId: string,
    hash: string,
    policyPackage: PolicyPackageName,
    input: unknown,
    activationSeq?: number | null,
  ): Promise<{ readonly deny: readonly { readonly code: string; readonly reason: string }[] } | undefined>;
}

/** The policy that a subject was read under. */
export function policyOf({ policy, shadowPolicyHash }: AdmissionSubject): PolicyInForce {
  return { hash: policy.hash, activationSeq: policy.activationSeq, candidate: shadowPolicyHash };
}

/** Who a policy is asked about; a revalidation knows the promoter's id and roles from the proof, and no kind. */
export interface PolicyActor {
  readonly id: string;
  readonly kind?: string;
  readonly roles: readonly string[];
}

/** The input document of a policy (contract §7); `extra` has what a mode adds. */
export function policyInput(
  subject: AdmissionSubject,
  mode: 'promote' | 'revalidate' | 'start',
  actor: PolicyActor,
  extra: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  const { agentId, workspaceId, spec, specHash } = subject;
  const who = { id: actor.id, ...(actor.kind === undefined ? {} : { kind: actor.kind }), roles: [...actor.roles] };
  const agent = { id: agentId, mode: subject.mode, spec: spec?.json ?? null, specHash };
  return { actor: who, workspace: workspaceId, agent, mode, ...extra };
}

/**
 * The denials of one package of the version `hash`; undefined when it has no such package. An evaluation that failed is
 * one denial, INTERCEPTOR_ERROR. Rejects when the policy could not be asked at all (POLICY_UNAVAILABLE, the database).
 */
export async function askPolicy(
  policy: PolicyAnswers,
  question: {
    workspaceId: string;
    hash: string;
    policyPackage: PolicyPackageName;
    input: unknown;
    activationSeq?: number | null;
  },
): Promise<readonly Denial[] | undefined> {
  const { workspaceId, hash, policyPackage, input, activationSeq } = question;
  try {
    const outcome = await policy.evaluate(workspaceId, hash, policyPackage, input, activationSeq);
    return outcome?.deny.slice(0, MAX_DENIALS).map(({ code, reason }) => ({
      code: clip(code, MAX_CODE),
      reason: clip(reason, MAX_REASON),
      severity: 'DENY',
      check: policyPackage,
    }));
  } catch (error) {
    if (!isEvaluationFailure(error)) throw error;
    return [interceptorError(policyPackage, 'the policy could not be evaluated')];
  }
}

/** A policy's text is a stranger's: cut, and without what canonical JSON and the database refuse. */
function clip(text: string, max: number): string {
  return text.replaceAll('\0', '').slice(0, max).toWellFormed();
}

function isEvaluationFailure(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'POLICY_EVALUATION_FAILED';
}
