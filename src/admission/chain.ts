import type { AdmissionCheck, Denial, Verdict } from './check.ts';
import type { AdmissionSubject } from './subject.ts';
import { interceptorError } from './verdict.ts';

/** ms, for all links together (contract §9). */
export const CHAIN_TIMEOUT_MS = 1000;

/** The reason of every late abort: making an error anew for each chain costs more than the cheap links. */
const DONE = new Error('the chain is done');

/** What one link of the chain said. */
export interface CheckOutcome {
  readonly check: string;
  readonly outcome: 'pass' | 'skip' | 'deny';
}

/** Every link's word, in order; the chain lets the subject pass only when `denies` is empty. */
export interface ChainResult {
  readonly outcomes: readonly CheckOutcome[];
  readonly denies: readonly Denial[];
  /** A link did not come to its word in time: its denial says nothing about the subject. */
  readonly timedOut: boolean;
}

interface LinkResult {
  readonly outcome: CheckOutcome['outcome'];
  readonly denies: readonly Denial[];
  readonly timedOut: boolean;
}

export interface ChainOptions {
  readonly timeoutMs?: number;
  /** Told of every link that failed; the denial itself names no cause. */
  readonly onFailure?: (check: string, error: unknown) => void;
}

/**
 * Asks every link, whatever the others say. Fails closed: a link that throws, takes longer than the chain may, or says
 * something that is no verdict denies with INTERCEPTOR_ERROR. Never rejects.
 */
export async function runChain(
  links: readonly AdmissionCheck[],
  subject: AdmissionSubject,
  { timeoutMs = CHAIN_TIMEOUT_MS, onFailure = () => undefined }: ChainOptions = {},
): Promise<ChainResult> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(new Error('the chain timed out')), timeoutMs);
  try {
    // All at once: a link that hangs must not take the others' time.
    const results = await Promise.all(links.map((link) => runLink(link, subject, controller.signal, onFailure)));
    return {
      outcomes: links.map(({ name }, index) => ({ check: name, outcome: results[index]?.outcome ?? 'deny' })),
      denies: results.flatMap((result) => result.denies),
      timedOut: results.some((result) => result.timedOut),
    };
  } finally {
    clearTimeout(timer);
    controller.abort(DONE);
  }
}

async function runLink(
  link: AdmissionCheck,
  subject: AdmissionSubject,
  signal: AbortSignal,
  onFailure: (check: string, error: unknown) => void,
): Promise<LinkResult> {
  try {
    const verdict: unknown = await beforeAbort(link.check(subject, signal), signal);
    if (!isVerdict(verdict)) throw new TypeError('the check gave no verdict');
    return { outcome: verdict.outcome, denies: verdict.outcome === 'deny' ? verdict.denials : [], timedOut: false };
  } catch (error) {
    onFailure(link.name, error);
    // Without the cause: it may hold what the check read, and a denial is shown to the caller.
    const timedOut = signal.aborted;
    const reason = timedOut ? 'the check took too long' : 'the check failed';
    return { outcome: 'deny', denies: [interceptorError(link.name, reason)], timedOut };
  }
}

function beforeAbort(verdict: Verdict | Promise<Verdict>, signal: AbortSignal): Verdict | Promise<Verdict> {
  if (!(verdict instanceof Promise)) return verdict;
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  // The chain also aborts when it is done: by then nobody listens any more.
  aborted.catch(() => undefined);
  return Promise.race([verdict, aborted]);
}

/** A denial without a reason to deny is no verdict: it would refuse a start and could not say why. */
function isVerdict(value: unknown): value is Verdict {
  if (!isRecord(value)) return false;
  if (value['outcome'] === 'pass' || value['outcome'] === 'skip') return true;
  const { outcome, denials } = value;
  return outcome === 'deny' && Array.isArray(denials) && denials.length > 0 && denials.every(isDenial);
}

function isDenial(value: unknown): value is Denial {
  if (!isRecord(value)) return false;
  const { code, reason, severity, check } = value;
  const known = severity === 'DENY' || severity === 'RESTRICT';
  return known && typeof code === 'string' && code !== '' && typeof reason === 'string' && typeof check === 'string';
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
