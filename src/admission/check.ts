import type { AdmissionSubject } from './subject.ts';

export type Severity = 'DENY' | 'RESTRICT';

/** One reason why a start is refused. `cause` carries the denials an invalidation was made for. */
export interface Denial {
  readonly code: string;
  readonly reason: string;
  readonly severity: Severity;
  /** Name of the check or of the policy package that denied. */
  readonly check: string;
  readonly cause?: readonly Denial[];
}

export type Verdict =
  | { readonly outcome: 'pass' }
  | { readonly outcome: 'skip' }
  | { readonly outcome: 'deny'; readonly denials: readonly Denial[] };

/** One link of the fail-closed chain: reads the subject, changes nothing, and throws only by mistake. */
export interface AdmissionCheck {
  readonly name: string;
  check(subject: AdmissionSubject, signal: AbortSignal): Verdict | Promise<Verdict>;
}

export const PASS: Verdict = { outcome: 'pass' };
export const SKIP: Verdict = { outcome: 'skip' };
