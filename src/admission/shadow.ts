import type { Denial } from './check.ts';
import { askPolicy, type PolicyAnswers, type PolicyPackageName } from './policy-question.ts';
import type { AdmissionSubject } from './subject.ts';

/** What the candidate policy would have answered. It is recorded and never enforced. */
export interface ShadowAnswer {
  readonly policyHash: string;
  readonly effect: 'ALLOW' | 'DENY';
  readonly denies: readonly Denial[];
}

/**
 * Asks the workspace's candidate; undefined when there is none, when it has no such package, or when it could not be
 * asked within `timeoutMs`: a candidate must not keep anyone waiting. Never rejects.
 */
export async function askShadow(
  policy: PolicyAnswers,
  subject: AdmissionSubject,
  question: { policyPackage: PolicyPackageName; input: unknown },
  options: { timeoutMs: number; onFailure: (check: string, error: unknown) => void },
): Promise<ShadowAnswer | undefined> {
  const { workspaceId, shadowPolicyHash: hash } = subject;
  if (hash === null) return undefined;
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error('the candidate took too long')), options.timeoutMs);
  try {
    const denies = await Promise.race([askPolicy(policy, { workspaceId, hash, ...question }), late]);
    if (denies === undefined) return undefined;
    return { policyHash: hash, effect: denies.length === 0 ? 'ALLOW' : 'DENY', denies };
  } catch (error) {
    options.onFailure(`shadow ${question.policyPackage}`, error);
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}
