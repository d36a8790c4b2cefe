import type { FindingClass } from './finding.ts';
import type { SignerEntry } from './registry.ts';

/** ms; replicas' clocks may differ this much, so an honest event may lie this far outside a limit or its neighbour. */
export const CLOCK_TOLERANCE_MS = 5000;

export interface RangeProblem {
  readonly class: Extract<FindingClass, 'signer-out-of-range' | 'signer-compromised'>;
  readonly detail: string;
}

/** Whether the registry lets this signer sign at `tsMs`; undefined when it does. */
export function rangeProblem(signer: SignerEntry, tsMs: number): RangeProblem | undefined {
  const { signerId, state, notBefore, notAfter, revokedAt } = signer;
  if (state === 'compromised') {
    // No tolerance: what a stolen key may have signed is doubtful from the first millisecond on.
    return revokedAt !== null && tsMs <= revokedAt
      ? undefined
      : { class: 'signer-compromised', detail: `signer ${signerId} is compromised` };
  }
  if (state === 'pending') return outside(`signer ${signerId} is not active yet`);
  if (state === 'revoked' && (revokedAt === null || tsMs > revokedAt + CLOCK_TOLERANCE_MS)) {
    return outside(`signer ${signerId} was revoked before`);
  }
  if (notBefore !== null && tsMs < notBefore - CLOCK_TOLERANCE_MS) return outside(`signer ${signerId} starts later`);
  if (notAfter !== null && tsMs > notAfter + CLOCK_TOLERANCE_MS) return outside(`signer ${signerId} ended before`);
  return undefined;
}

function outside(detail: string): RangeProblem {
  return { class: 'signer-out-of-range', detail };
}
