import type { Denial, Severity, Verdict } from './check.ts';

/** A verdict with one denial. */
export function deny(check: string, code: string, reason: string, severity: Severity = 'DENY'): Verdict {
  return { outcome: 'deny', denials: [{ code, reason, severity, check }] };
}

/** What a check that gave no usable verdict amounts to: a denial of its own (contract §9). */
export function interceptorError(check: string, reason: string): Denial {
  return { code: 'INTERCEPTOR_ERROR', reason, severity: 'DENY', check };
}
