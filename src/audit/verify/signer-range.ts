import type { FindingClass } from './finding.ts';
import type { SignerEntry } from './registry.ts';

/** ms; replicas' clocks may differ this much, so an honest event may lie this far outside a limit or its neighbour. */
export const CLOCK_TOLERANCE_MS = 5000;

export interface RangeProblem {
  readonly class: Extract<FindingClass, 'signer-out-of-range' | 'signer-compromised'>;
  readonly detail: string;
}

/** What the first `size` entries of the log of checkpoints cover of a chain; undefined where that is not known. */
export type Covered = (size: number) => number | undefined;

/** Whether the registry lets this signer sign the event at `seq`, which is dated `tsMs`; undefined when it does. */
export function rangeProblem(
  signer: SignerEntry,
  { seq, tsMs }: { readonly seq: number; readonly tsMs: number },
  covered: Covered | undefined,
): RangeProblem | undefined {
  const { signerId, state, notBefore, notAfter, revokedAt, trustedUpTo, validFromSize, validToSize } = signer;
  const end = validToSize === null ? undefined : covered?.(validToSize);
  if (state === 'compromised') {
    // No tolerance: what a stolen key may have signed is doubtful from the first millisecond on.
    const until = trustedUpTo ?? revokedAt;
    if (until === null || tsMs > until || (end !== undefined && seq > end)) {
      return { class: 'signer-compromised', detail: `signer ${signerId} is compromised` };
    }
  }
  if (state === 'pending') return outside(`signer ${signerId} is not active yet`);
  if (state === 'revoked' && (revokedAt === null || tsMs > revokedAt + CLOCK_TOLERANCE_MS)) {
    return outside(`signer ${signerId} was revoked before`);
  }
  if (notBefore !== null && tsMs < notBefore - CLOCK_TOLERANCE_MS) return outside(`signer ${signerId} starts later`);
  if (notAfter !== null && tsMs > notAfter + CLOCK_TOLERANCE_MS) return outside(`signer ${signerId} ended before`);
  if (end !== undefined && seq > end) {
    return outside(`signer ${signerId} ended with entry ${validToSize} of the log of checkpoints, which is before`);
  }
  const start = validFromSize === null ? undefined : covered?.(validFromSize);
  if (start !== undefined && seq <= start) {
    return outside(`signer ${signerId} starts after entry ${validFromSize} of the log of checkpoints`);
  }
  return undefined;
}

function outside(detail: string): RangeProblem {
  return { class: 'signer-out-of-range', detail };
}
