import { type AdmissionCheck, PASS, SKIP } from '../check.ts';
import { askPolicy, type PolicyAnswers, policyInput } from '../policy-question.ts';

/** What the workspace's own policy says about a start; a policy set without `castellan.runtime` adds nothing. */
export function createRuntimePolicy(policy: PolicyAnswers): AdmissionCheck {
  return {
    name: 'runtimePolicy',
    async check(subject) {
      const { workspaceId, policy: head, actor } = subject;
      const input = policyInput(subject, 'start', actor);
      const { hash, activationSeq } = head;
      const question = { workspaceId, hash, activationSeq, policyPackage: 'castellan.runtime' as const, input };
      const denials = await askPolicy(policy, question);
      if (denials === undefined) return SKIP;
      return denials.length === 0 ? PASS : { outcome: 'deny', denials };
    },
  };
}
