import { type AdmissionCheck, PASS } from '../check.ts';

/** A quarantined agent does not start; the denials it was invalidated for are given as the cause. */
export const quarantine: AdmissionCheck = {
  name: 'quarantine',
  check({ status, quarantine: placed, invalidation }) {
    // Any one of the three is enough: they change together, so a row with only some of them was edited.
    if (status !== 'quarantined' && placed === null && invalidation === null) return PASS;
    const reason = placed === null ? 'the agent is quarantined' : `the agent is quarantined: ${placed.reason}`;
    const cause = invalidation === null ? {} : { cause: invalidation.denies };
    return {
      outcome: 'deny',
      denials: [{ code: 'AGENT_QUARANTINED', reason, severity: 'DENY', check: 'quarantine', ...cause }],
    };
  },
};
