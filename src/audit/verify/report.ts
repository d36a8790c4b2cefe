import type { Finding, Findings } from './finding.ts';
import type { Strength } from './strength.ts';
import type { Tally } from './tally.ts';

type Verdict = 'ok' | 'tampered' | 'incomplete';

/** The result of a verification. */
export interface VerifyReport {
  readonly verdict: Verdict;
  readonly strength: Strength['level'];
  /** What that strength cannot show. */
  readonly means: string;
  readonly events: number;
  readonly signatures: number;
  /** The first 1,000 of each class, by chain and seq. */
  readonly findings: readonly Finding[];
  /** What limits the answer, one sentence each. */
  readonly notes: readonly string[];
}

/** Tampered outweighs incomplete. Nothing checked is never ok. */
export function summarise(
  findings: Findings,
  tally: Tally,
  strength: Strength,
  notes: readonly string[],
): VerifyReport {
  const told = [...notes, ...strength.notes];
  if (tally.events === 0) told.push('no event was found: nothing is verified');
  else if (tally.signatures === 0) told.push('no signature could be verified');
  for (const [reason, count] of tally.unverifiable) told.push(`${count} events could not be verified: ${reason}`);
  const kept = findings.kept;
  const { total } = findings;
  if (total > kept.length) {
    const counts = [...findings.counts].map(([name, count]) => `${count} ${name}`);
    told.push(`${total - kept.length} findings are not listed; in all: ${counts.join(', ')}`);
  }
  const incomplete = findings.problems > 0 || tally.signatures === 0 || tally.unverifiable.size > 0;
  return {
    verdict: findings.tampered ? 'tampered' : incomplete ? 'incomplete' : 'ok',
    strength: strength.level,
    means: strength.means,
    events: tally.events,
    signatures: tally.signatures,
    findings: kept,
    notes: told,
  };
}

/** The promised JSON form, exactly. */
export function toJson({ verdict, strength, events, signatures, findings }: VerifyReport): string {
  return JSON.stringify({ ok: verdict === 'ok', strength, events, signatures, findings });
}

/** Lines for people: each finding, the summary, and what its strength means. Text from the log cannot steer the terminal. */
export function toText(report: VerifyReport, seconds: number): string[] {
  const { verdict, strength, means, events, signatures, findings } = report;
  const rate = Math.round(events / Math.max(seconds, 0.001));
  return [
    ...findings.map((finding) => printable(`${finding.chain} ${finding.seq} ${finding.class} ${finding.detail}`)),
    `${verdict}: strength ${strength}, ${events} events, ${signatures} signatures, ${findings.length} findings, ${rate} events/s`,
    printable(`strength ${strength}: ${means}`),
  ];
}

/** Control and other non-ASCII characters as `?`: a chain's or signer's name may have been chosen by an attacker. */
export function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?');
}
