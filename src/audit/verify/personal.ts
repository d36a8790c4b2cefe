import { createHmac } from 'node:crypto';

import type { Findings } from './finding.ts';

const COMMITMENT = /^[0-9a-f]{64}$/;
const SALT_BYTES = 32;
/** Events named one by one; those after them are counted. */
const NAMED = 1000;

/** What a commitment in a payload is said to stand for. */
export interface StoredValue {
  readonly member: string;
  readonly value: string;
  readonly salt: Buffer;
  /** Who is said to have written it; undefined: the source does not say. */
  readonly actorId?: string;
}

/** The values that a source has beside an event. */
export interface StoredValues {
  readonly values: readonly StoredValue[];
  /** What is not among them is erased, or gone; else the source just does not say. */
  readonly complete: boolean;
}

/** Members with a value that is not the one committed to, not the event's actor's, or without a commitment; and how many commitments have none. */
export function checkValues(
  payload: Readonly<Record<string, unknown>>,
  stored: StoredValues | undefined,
  actorId: string | undefined,
): { edited: string[]; missing: number } {
  if (stored === undefined) return { edited: [], missing: 0 };
  const open = new Map<string, string>();
  for (const [member, value] of Object.entries(payload)) {
    const commitment = commitmentIn(value);
    if (commitment !== undefined) open.set(member, commitment);
  }
  const edited: string[] = [];
  const commitments = new Map(open);
  for (const { member, value, salt, actorId: writer = actorId } of stored.values) {
    const expected = commitments.get(member);
    open.delete(member);
    const bound = createHmac('sha256', salt).update(value, 'utf8').digest('hex');
    if (expected !== bound || salt.length !== SALT_BYTES) edited.push(`personal ${member}`);
    else if (writer !== actorId) edited.push(`personal ${member} (its actor)`);
  }
  return { edited, missing: stored.complete ? open.size : 0 };
}

/** An object of one member `c`: nothing else in a payload has that form. */
function commitmentIn(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const [member, ...others] = Object.entries(value);
  if (member === undefined || others.length > 0 || member[0] !== 'c') return undefined;
  return typeof member[1] === 'string' && COMMITMENT.test(member[1]) ? member[1] : undefined;
}

/**
 * The values of one chain that are not there any more, against those that its signed events say were erased. An erasure
 * does not name each value, so they are compared by number: one more is gone than was erased, and none can be told from it.
 */
export class ErasedValues {
  readonly #named: number[] = [];
  #last = 0;
  #events = 0;
  #missing = 0;
  #erased = 0;

  /** An event that is what was written, in ascending order of seq. */
  event(seq: number, missing: number): void {
    if (missing === 0) return;
    this.#events += 1;
    this.#missing += missing;
    this.#last = seq;
    if (this.#named.length < NAMED) this.#named.push(seq);
  }

  /** What was missing so far is not asked about any more. */
  forget(): void {
    this.#named.length = 0;
    this.#last = 0;
    this.#events = 0;
    this.#missing = 0;
  }

  /** A signed event says that so many were erased. */
  erased(values: number): void {
    if (values > 0) this.#erased += values;
  }

  /** All that are missing so far were erased so far. */
  get settled(): boolean {
    return this.#missing <= this.#erased;
  }

  report(chain: string, findings: Findings): void {
    const gone = `personal: a value is gone without an erasure (${this.#missing} are, ${this.#erased} were erased)`;
    const [name, detail] = this.settled
      ? (['redacted', 'a personal value was erased; the event itself is whole'] as const)
      : (['projection-edited', gone] as const);
    for (const seq of this.#named) findings.add(chain, seq, name, detail);
    for (let rest = this.#events - this.#named.length; rest > 0; rest -= 1)
      findings.add(chain, this.#last, name, detail);
  }
}
