import type { EventClaims } from './event-check.ts';
import type { Findings } from './finding.ts';
import type { Registry } from './registry.ts';
import { SeqRanges } from './seq-ranges.ts';
import { type Covered, type RangeProblem, rangeProblem } from './signer-range.ts';

/** Events of a signer that a thief may have signed as well, and that nothing vouches for so far. */
interface Doubtful {
  readonly detail: string;
  readonly events: SeqRanges;
  /** The last one that was met, and its hash. */
  seq: number;
  hash: string;
}

/**
 * Whether the signers of one chain's events were allowed to sign them. What a compromised signer signed outside the range
 * for which it is trusted may still be vouched for by a later event, so it is named when the chain is at its end.
 */
export class SignerCheck {
  readonly #chain: string;
  readonly #registry: Registry;
  readonly #findings: Findings;
  readonly #covered: Covered | undefined;
  readonly #doubtful = new Map<string, Doubtful>();

  constructor(chain: string, covered: Covered | undefined, context: { registry: Registry; findings: Findings }) {
    this.#chain = chain;
    this.#covered = covered;
    this.#registry = context.registry;
    this.#findings = context.findings;
  }

  /** Nothing that was signed so far is in doubt. */
  get settled(): boolean {
    return this.#doubtful.values().every(({ events }) => events.ranges.length === 0);
  }

  /** A validly signed event in the row at `seq`; `hash` is the one that is signed. */
  add(seq: number, body: EventClaims, hash: string): void {
    const signer = body.signerId === null ? undefined : this.#registry.get(body.signerId);
    const problem = signer === undefined ? undefined : rangeProblem(signer, body, this.#covered);
    if (signer !== undefined && problem?.class === 'signer-compromised' && body.seq === seq) {
      this.#hold(signer.signerId, seq, hash, problem);
    } else if (problem !== undefined) this.#findings.add(this.#chain, seq, problem.class, problem.detail);
    else if (body.reattests !== undefined) this.#vouch(seq, body.reattests);
  }

  finish(): void {
    for (const { events, detail } of this.#doubtful.values()) {
      for (const [from, to] of events.ranges) {
        for (let seq = from; seq <= to; seq += 1) this.#findings.add(this.#chain, seq, 'signer-compromised', detail);
      }
    }
    this.#doubtful.clear();
  }

  #hold(signerId: string, seq: number, hash: string, { class: name, detail }: RangeProblem): void {
    const held = this.#doubtful.get(signerId) ?? { detail, events: new SeqRanges(), seq: 0, hash: '' };
    this.#doubtful.set(signerId, held);
    // Rows out of their order are damaged in any case, and more ranges than are kept are not held in memory.
    if (seq > held.seq) held.events.add(seq, seq);
    if (!held.events.has(seq)) this.#findings.add(this.#chain, seq, name, detail);
    if (seq <= held.seq) return;
    held.seq = seq;
    held.hash = hash;
  }

  /** Counts only with the hash of the last doubtful event: whoever signed it had seen this history and no other. */
  #vouch(at: number, { signerId, from, to, hash }: NonNullable<EventClaims['reattests']>): void {
    const held = this.#doubtful.get(signerId);
    if (held === undefined || to !== held.seq || hash !== held.hash || !(from >= 1 && from <= to)) return;
    const before = held.events.count;
    held.events.remove(from, to);
    const vouched = before - held.events.count;
    if (vouched === 0) return;
    const what = `${vouched} events up to seq ${to} by signer ${signerId}, whose key is compromised`;
    this.#findings.add(this.#chain, from, 'reattested', `${what}: seq ${at} vouches for them`);
  }
}
