import type { CheckOutcome } from '../admission/chain.ts';
import type { Denial } from '../admission/check.ts';
import type { AdmissionResult } from '../admission/service.ts';

interface PassedCheck {
  readonly check: string;
  readonly outcome: 'pass' | 'skip';
}

/** An answer without contradictions: everything passed, or there is at least one denial. */
export type Ruling =
  | { readonly allowed: true; readonly checks: PassedCheck[]; readonly interceptors: PassedCheck[] }
  | { readonly allowed: false; readonly denies: readonly [Denial, ...Denial[]] };

/** Reads admission's answer the closed way: a start is allowed only if nothing in it speaks against it. */
export function rulingOf(outcome: AdmissionResult): Ruling {
  const checks = outcome.checks.filter(isPassed);
  const interceptors = outcome.interceptors.filter(isPassed);
  const complete =
    checks.length === outcome.checks.length && interceptors.length === outcome.interceptors.length && checks.length > 0;
  const [first, ...others] = outcome.denies;
  if (first !== undefined) return { allowed: false, denies: [first, ...others] };
  if (outcome.allowed && complete) return { allowed: true, checks, interceptors };
  const reason = 'admission gave no clear answer';
  return { allowed: false, denies: [{ code: 'INTERCEPTOR_ERROR', reason, severity: 'DENY', check: 'admission' }] };
}

function isPassed(outcome: CheckOutcome): outcome is PassedCheck {
  return outcome.outcome === 'pass' || outcome.outcome === 'skip';
}
