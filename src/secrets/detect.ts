import { findAssignments, findUrlPasswords } from './assignments.ts';
import { findAwsKeys } from './aws.ts';
import { findPrivateJwks } from './jwk.ts';
import type { Detector, Match } from './match.ts';
import { findPemKeys, findWrappedPemKeys } from './pem.ts';
import { findTokens } from './tokens.ts';

/**
 * The patterns are our own, few and precise, rather than a scanner's with hundreds of rules: what guards the keys of this
 * service should be read in one sitting, run where nothing can be installed, and cost a build no false alarm. Every regular
 * expression begins with a literal or a bounded class and repeats nothing without a limit (test/secrets/linear.test.ts), so
 * a hostile file costs time in proportion to its size. Not sought: passphrases made of words, archives, history.
 */
const PRECISE: readonly Detector[] = [
  findPemKeys,
  findWrappedPemKeys,
  findPrivateJwks,
  findTokens,
  findAwsKeys,
  findUrlPasswords,
];

/** Everything in the text, in its order. What a precise pattern has found is not reported as a generic secret again. */
export function detect(text: string): Match[] {
  const precise = PRECISE.flatMap((find) => [...find(text)]).sort(byStart);
  const generic: Match[] = [];
  let next = 0;
  for (const match of findAssignments(text)) {
    while ((precise[next]?.end ?? Number.POSITIVE_INFINITY) <= match.start) next += 1;
    if ((precise[next]?.start ?? Number.POSITIVE_INFINITY) >= match.end) generic.push(match);
  }
  return [...precise, ...generic].sort(byStart);
}

function byStart(a: Match, b: Match): number {
  return a.start - b.start;
}
