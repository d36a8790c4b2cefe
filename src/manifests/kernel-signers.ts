import { KernelUnavailable } from './errors.ts';
import type { AskKernel } from './kernel-api.ts';
import type { KernelSigner } from './kernel-entry.ts';

/** ms for one look-up, of the 10 s that a request has. */
const DEADLINE_MS = 3_000;
/** Look-ups at once, so that ids that somebody makes up neither fill the memory nor burden the Kernel. */
const MAX_IN_FLIGHT = 16;
/** Answers of each kind that are kept; a Kernel has a handful of signers. */
const MAX_KEPT = 1_000;

/** The signers that the Kernel's API names. */
export interface KernelSigners {
  /** Undefined for one that it does not know. Rejects with KernelUnavailable when that cannot be found out. */
  find(signerId: string): Promise<KernelSigner | undefined>;
  /** As of the newest answer, without asking; undefined also for one that was not asked for. */
  last(signerId: string): KernelSigner | undefined;
}

export interface KernelSignersOptions {
  readonly ask: AskKernel;
  /** ms that an answer counts, the one that there is no such signer too. */
  readonly cacheMs: number;
  /** ms on a clock that is never set back. */
  readonly now: () => number;
  readonly deadlineMs?: number;
}

interface Kept {
  readonly signer: KernelSigner | undefined;
  readonly until: number;
}

/** Keeps answers for a while and asks once for those who ask at the same time. A failure is not kept, and nothing outlives its time. */
export function createKernelSigners(options: KernelSignersOptions): KernelSigners {
  const { ask, cacheMs, now, deadlineMs = DEADLINE_MS } = options;
  // Apart, so that ids that somebody makes up do not push out the signers that there are.
  const known = new Map<string, Kept>();
  const unknown = new Map<string, Kept>();
  const inFlight = new Map<string, Promise<KernelSigner | undefined>>();

  async function find(signerId: string): Promise<KernelSigner | undefined> {
    const kept = known.get(signerId) ?? unknown.get(signerId);
    if (kept !== undefined && now() < kept.until) return kept.signer;
    const asked = inFlight.get(signerId);
    if (asked !== undefined) return asked;
    if (inFlight.size >= MAX_IN_FLIGHT) throw new KernelUnavailable("too many look-ups at the Kernel's API at once");
    const answer = lookUp(signerId);
    inFlight.set(signerId, answer);
    try {
      return await answer;
    } finally {
      inFlight.delete(signerId);
    }
  }

  async function lookUp(signerId: string): Promise<KernelSigner | undefined> {
    // From before it is asked: what is revoked meanwhile must not count for longer.
    const until = now() + cacheMs;
    const signer = await ask(signerId, AbortSignal.timeout(deadlineMs));
    known.delete(signerId);
    unknown.delete(signerId);
    keep(signer === undefined ? unknown : known, signerId, { signer, until });
    return signer;
  }

  return { find, last: (signerId) => known.get(signerId)?.signer };
}

function keep(answers: Map<string, Kept>, signerId: string, kept: Kept): void {
  if (answers.size >= MAX_KEPT) {
    const [oldest] = answers.keys();
    if (oldest !== undefined) answers.delete(oldest);
  }
  answers.set(signerId, kept);
}
