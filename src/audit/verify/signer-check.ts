import { DoubtfulEvents } from './doubtful-events.ts';
import type { EventClaims } from './event-check.ts';
import type { Findings } from './finding.ts';
import type { Registry } from './registry.ts';
import { type Covered, type RangeProblem, rangeProblem } from './signer-range.ts';

/** Events of a signer that a thief may have signed as well, and that nothing vouches for so far. */
interface Doubtful {
  readonly detail: string;
  readonly events: DoubtfulEvents;
  /** Of the last one that was met. */
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
    return this.#doubtful.values().every(({ events }) => events.isEmpty);
  }

  /** A validly signed event in the row at `seq`; `hash` is the one that is signed. */
  add(seq: number, body: EventClaims, hash: string): void {
    const signer = body.signerId === null ? undefined : this.#registry.get(body.signerId);
    const problem = signer === undefined ? undefined : rangeProblem(signer, body, this.#covered);
    if (signer !== undefined && problem?.class === 'signer-compromised' && body.seq === seq) {
      this.#hold(signer.signerId, seq, hash, problem);
    } else if (problem !== undefined) this.#findings.add(this.#chain, seq, problem.class, problem.detail);
    // Whoever has a stolen key can write a time at which it was trusted: it does not vouch for itself.
    else if (body.reattests !== undefined && body.reattests.signerId !== body.signerId)
      this.#vouch(seq, body.reattests);
  }

  finish(): void {
    for (const { events, detail } of this.#doubtful.values()) {
      const { runs, rest } = events.left;
      for (const [from, to] of runs) {
        for (let seq = from; seq <= to; seq += 1) this.#findings.add(this.#chain, seq, 'signer-compromised', detail);
      }
      // Behind so many others these are counted, and not named.
      for (let one = 0; one < rest; one += 1)
        this.#findings.add(this.#chain, events.last, 'signer-compromised', detail);
    }
    this.#doubtful.clear();
  }

  #hold(signerId: string, seq: number, hash: string, { class: name, detail }: RangeProblem): void {
    const held = this.#doubtful.get(signerId) ?? { detail, events: new DoubtfulEvents(), hash: '' };
    this.#doubtful.set(signerId, held);
    if (seq > held.events.last) {
      held.events.add(seq);
      held.hash = hash;
      return;
    }
    // Rows out of their order are damaged in any case; nothing vouches for one that was not met before.
    if (!held.events.has(seq)) this.#findings.add(this.#chain, seq, name, detail);
  }

  /** Counts only with the hash of the last doubtful event: whoever signed it had seen this history and no other. */
  #vouch(at: number, { signerId, from, to, hash }: NonNullable<EventClaims['reattests']>): void {
    const held = this.#doubtful.get(signerId);
    if (held === undefined || to !== held.events.last || hash !== held.hash || !(from >= 1 && from <= to)) return;
    const vouched = held.events.removeFrom(from);
    if (vouched === 0) return;
    const what = `${vouched} events up to seq ${to} by signer ${signerId}, whose key is compromised`;
    this.#findings.add(this.#chain, from, 'reattested', `${what}: seq ${at} vouches for them`);
  }
}
