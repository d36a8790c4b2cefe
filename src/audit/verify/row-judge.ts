import type { Standing } from './chain-standing.ts';
import { type EventFacts, TILE_HASH } from './event-check.ts';
import type { FindingClass } from './finding.ts';
import type { SignatureVerdict } from './signature.ts';
import type { SignerCheck } from './signer-check.ts';
import type { Tally } from './tally.ts';

interface JudgeContext {
  readonly tally: Tally;
  readonly signers: SignerCheck;
  report(seq: number, name: FindingClass, detail: string): void;
}

/** What a row of one chain is worth by itself, before its neighbours are looked at. */
export class RowJudge {
  readonly #chain: string;
  readonly #context: JudgeContext;

  constructor(chain: string, context: JudgeContext) {
    this.#chain = chain;
    this.#context = context;
  }

  /** Judges one row. `body` is there when its bytes can be taken as what was written. */
  judge(facts: EventFacts, verdict: SignatureVerdict | undefined): Standing {
    const { seq } = facts;
    const consistent = facts.hash === facts.bodyHash;
    const over = verdict?.over ?? 'nothing';
    const signed = over !== 'nothing';
    const problem = this.#signatureProblem(facts, verdict);
    if (!consistent && over === 'hash')
      this.#context.report(seq, 'body-edited', 'the body is not the one that was signed');
    if (!consistent && over === 'body')
      this.#context.report(seq, 'hash-edited', 'the hash is not that of the signed body');
    const undecided = !consistent && !signed;
    const authentic = consistent || over === 'body';
    const weak = authentic && !signed && !problem;
    if (!authentic) return { body: undefined, foreign: false, broken: problem, weak, undecided };
    if (typeof facts.body === 'string') {
      // A forger's bytes need no further name; signed ones that are not canonical are a fault of their own.
      if (!problem) this.#context.report(seq, 'non-canonical', facts.body);
      return { body: undefined, foreign: false, broken: problem, weak, undecided };
    }
    const { body } = facts;
    if (body.chain !== this.#chain) {
      if (!problem) this.#context.report(seq, 'spliced', `an event of chain ${body.chain}, seq ${body.seq}`);
      return { body, foreign: !problem, broken: problem, weak, undecided };
    }
    const edited = facts.edited.filter(
      (name) => !(name === 'prevHash' && body.seq !== seq) && !(name === TILE_HASH && problem),
    );
    if (edited.length > 0) {
      this.#context.report(seq, 'projection-edited', `${edited.join(', ')}: not what the body says`);
    }
    if (signed && !problem) this.#context.signers.add(seq, body, over === 'body' ? facts.bodyHash : facts.hash);
    return { body, foreign: false, broken: problem, weak, undecided };
  }

  /** Counts and reports what the signature shows; true when it is not one this event may have. */
  #signatureProblem(facts: EventFacts, verdict: SignatureVerdict | undefined): boolean {
    const { seq } = facts;
    if (verdict === undefined) {
      // A brake is unsigned by its own word; coverage decides. A row only marked so has lost its signature, and an event
      // of any other type never goes without: its cover is a signature that was obtained by deceit.
      const { deferred, needsSignature } = facts;
      if (deferred && (needsSignature === undefined || facts.hash !== facts.bodyHash)) return false;
      const detail = deferred
        ? `an unsigned ${needsSignature}, which is never written so`
        : 'the event has no signature';
      this.#context.report(seq, 'signature-missing', detail);
      return true;
    }
    if (facts.deferred) return false; // an unsigned event with a signature: a projection edit, reported as such
    if (verdict.unverifiable !== undefined) {
      this.#unverifiable(verdict.unverifiable);
      return false;
    }
    if (verdict.problem === undefined) {
      this.#context.tally.signatures += 1;
      return false;
    }
    this.#context.report(seq, verdict.problem.class, verdict.problem.detail);
    return true;
  }

  #unverifiable(reason: string): void {
    this.#context.tally.unverifiable.set(reason, (this.#context.tally.unverifiable.get(reason) ?? 0) + 1);
  }
}
