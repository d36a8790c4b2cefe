import { linkOf, type Predecessor } from './chain-standing.ts';
import { type ChainStart, checkStart, stateMisfit } from './chain-start.ts';
import { BODIES_DIFFER, ChainTree } from './chain-tree.ts';
import { DeferredRun } from './deferred-run.ts';
import type { EventClaims, EventFacts } from './event-check.ts';
import type { FindingClass, Findings } from './finding.ts';
import { ErasedValues } from './personal.ts';
import { Positions } from './positions.ts';
import { Prunings } from './pruning.ts';
import type { Registry } from './registry.ts';
import { type KnownRegistry, RegistryCheck } from './registry-check.ts';
import type { Head } from './row.ts';
import { RowJudge } from './row-judge.ts';
import type { SeqRange } from './seq-ranges.ts';
import type { SignatureVerdict } from './signature.ts';
import { SignerCheck } from './signer-check.ts';
import { CLOCK_TOLERANCE_MS } from './signer-range.ts';
import { SigningModes } from './signing-modes.ts';
import type { Tally } from './tally.ts';

const GENESIS_HASH = '0'.repeat(64);
/** Rows at one seq whose hashes the next event may follow. */
const MAX_BRANCHES = 16;

/** How far a chain was found good. */
export interface ResumePoint {
  readonly seq: number;
  readonly hash: string;
  readonly tree: Buffer;
}

export interface ChainContext {
  readonly registry: Registry;
  /** The registry as the events of `_system` may name it. */
  readonly known?: KnownRegistry | undefined;
  readonly findings: Findings;
  readonly tally: Tally;
}

/** The chain whose events change the registry. */
const SYSTEM_CHAIN = '_system';

/**
 * One chain, event by event in the order of its rows. Each damage is named once, at its cause: a broken link right after
 * an event that is itself found edited, forged, missing or displaced is that damage's consequence and not told again.
 */
export class ChainCheck {
  readonly #chain: string;
  readonly #findings: Findings;
  readonly #tally: Tally;
  readonly #positions = new Positions();
  readonly #signers: SignerCheck;
  readonly #rows: RowJudge;
  readonly #registry: RegistryCheck;
  readonly #deferred: DeferredRun;
  readonly #modes = new SigningModes();
  readonly #values = new ErasedValues();
  readonly #prunings: Prunings;
  /** From an earlier verification: the first event and what was before it. */
  readonly #trusted: ChainStart['trusted'];
  readonly #first: number;
  readonly #tree: ChainTree | undefined;
  #last: number;
  #before: Predecessor;

  constructor(chain: string, start: ChainStart, context: ChainContext) {
    const { from, trusted, claims, covered, prunings = [] } = start;
    this.#chain = chain;
    this.#trusted = trusted;
    this.#prunings = new Prunings(chain, prunings);
    // From a later seq on there is no tree without the one of an earlier verification.
    this.#tree = from === 1 || trusted !== undefined ? new ChainTree(claims, trusted?.tree) : undefined;
    this.#signers = new SignerCheck(chain, covered, context);
    this.#rows = new RowJudge(chain, {
      tally: context.tally,
      signers: this.#signers,
      report: (seq, name, detail) => this.#report(seq, name, detail),
    });
    this.#registry = new RegistryCheck(chain === SYSTEM_CHAIN ? context.known : undefined);
    this.#findings = context.findings;
    this.#tally = context.tally;
    this.#deferred = new DeferredRun(from);
    this.#first = from;
    this.#last = from - 1;
    // From 1 the chain starts at the genesis hash; from later on the first prevHash is taken on trust.
    const links = from === 1 ? [GENESIS_HASH] : undefined;
    const seq = from - 1;
    this.#before = { seq, hashes: [], links, weak: false, foreign: false, tsMs: undefined, undecided: undefined };
  }

  add(facts: EventFacts, verdict: SignatureVerdict | undefined): void {
    this.#tally.events += 1;
    if (facts.seq > this.#last || (facts.seq === this.#last && this.#before.foreign)) {
      this.#advance(facts, verdict);
      return;
    }
    const repeated = facts.seq === this.#last;
    const standing = this.#rows.judge(facts, verdict);
    if (standing.foreign) return;
    if (repeated) this.#second(facts, standing.body);
    else if (this.#positions.late(facts.seq)) this.#report(facts.seq, 'reordered', 'the event stands after later ones');
    else this.#report(facts.seq, 'replayed', `seq ${facts.seq} stands in the log again`);
  }

  /** `head`: null when the source has no heads, undefined when it has none for this chain. */
  finish(head: Head | undefined | null): void {
    const atHead = head?.seq === this.#before.seq;
    this.#decide(atHead && head !== undefined && head !== null ? [head.hash] : []);
    const removed = this.#excusePruned();
    for (const { seq, class: name, detail } of this.#positions.finish()) {
      this.#report(seq, name, detail);
      this.#tree?.differs(seq);
    }
    for (const [from, to] of this.#deferred.uncovered) {
      this.#report(
        from,
        'deferred-uncovered',
        `seq ${from} to ${to} are unsigned and not covered by a signed event yet`,
      );
    }
    this.#signers.finish();
    this.#values.report(this.#chain, this.#findings);
    const { misfit } = this.#registry;
    if (misfit !== undefined) {
      this.#report(
        misfit,
        'projection-edited',
        'registry: the signers, or the version, are not those that the event names',
      );
    }
    if (this.#deferred.dropped) this.#report(this.#last, 'deferred-uncovered', 'too many unsigned events to follow');
    if (head === undefined) this.#report(this.#last, 'chain-missing', 'the chain has events but no head row');
    else if (head !== null) this.#checkTail(head);
    if (this.#tree === undefined) return;
    for (const { seq, class: name, detail } of this.#tree.finish(head?.tree ?? undefined))
      this.#report(seq, name, detail);
    const { anchored } = this.#tree;
    const gone = removed.reduce((sum, [from, to]) => sum + Math.max(Math.min(to, anchored) - from + 1, 0), 0);
    this.#tally.anchored += Math.max(anchored - this.#first + 1 - gone, 0);
  }

  /** How far the chain is good and settled, given that nothing was found so far; undefined where it is not. */
  get resumePoint(): ResumePoint | undefined {
    const { seq, hashes, links, weak, undecided } = this.#before;
    const [hash] = hashes;
    const decided = this.#deferred.uncovered.length === 0 && this.#signers.settled && this.#values.settled;
    const settled = links !== undefined && !weak && undecided === undefined && decided;
    const tree = settled ? this.#tree?.bytesAt(seq) : undefined;
    const whole = this.#positions.inOrder(this.#prunings.to) && this.#prunings.misfits.length === 0;
    const good = whole && this.#registry.misfit === undefined;
    return tree === undefined || hash === undefined || !good ? undefined : { seq, hash, tree };
  }

  #advance(facts: EventFacts, verdict: SignatureVerdict | undefined): void {
    const { seq } = facts;
    if (this.#last < this.#first) this.#begin(facts);
    if (seq > this.#last + 1) this.#missing(seq - 1);
    this.#last = seq;
    if (this.#tree !== undefined) this.#prunings.grow(this.#tree, seq, facts.leaf);
    const follows = this.#before.seq === seq - 1;
    const prevHashes = typeof facts.body === 'string' ? [facts.prevHash] : [facts.body.prevHash, facts.prevHash];
    this.#decide(follows ? prevHashes : []);
    const { body, foreign, broken, weak, undecided } = this.#rows.judge(facts, verdict);
    // A forged row is named by its signature; what its body says about its place tells nothing.
    const displaced = body !== undefined && !broken && body.seq !== seq;
    if (foreign) this.#positions.foreign(seq);
    else if (displaced) this.#positions.displaced(seq, body.seq);
    else this.#positions.filled(seq);
    const settled = body !== undefined && body.seq === seq && !foreign;
    if (settled && follows) this.#checkLink(seq, body, broken);
    const linked = follows && settled && !broken && this.#before.links?.includes(body.prevHash) === true;
    if (!linked) this.#modes.lost();
    if (settled && !broken) {
      this.#checkMode(facts, body);
      this.#trackDeferred(facts, body);
      this.#registry.named(seq, body.registry);
      // What was erased there was said by an event that may be gone.
      if (!this.#prunings.within(seq)) this.#values.event(seq, facts.missing);
      this.#prunings.met(facts, linkOf(facts, verdict)[0] ?? facts.hash, body.prevHash, this.#tree?.bytesAt(seq));
      if (verdict !== undefined && verdict.over !== 'nothing') this.#values.erased(body.erases);
    }
    this.#before = {
      seq,
      hashes: [facts.hash],
      links: displaced || foreign || broken || undecided ? undefined : linkOf(facts, verdict),
      weak,
      foreign,
      tsMs: settled && !broken ? body.tsMs : undefined,
      undecided: undecided ? facts : undefined,
    };
  }

  /** The first event; that of a state may have been removed since. */
  #begin(facts: EventFacts): void {
    const pruned = this.#trusted !== undefined && this.#prunings.mayReach(this.#first, this.#trusted);
    if (!(pruned && facts.seq > this.#first)) checkStart(this.#chain, this.#first, this.#trusted?.hash, facts);
  }

  #missing(to: number): void {
    this.#positions.hole(this.#last + 1, to);
    this.#prunings.hole(to);
    // Events that stayed before it may have lost their texts by an erasure that is in it.
    if (this.#prunings.within(to)) this.#values.forget();
  }

  /** Says which events were removed as a signed event approved; the others that are missing stay so. */
  #excusePruned(): SeqRange[] {
    for (const { seq, to } of this.#prunings.misfits) {
      this.#report(seq, 'forked', `the event approves the removal of other events than those up to seq ${to}`);
    }
    const ranges = this.#positions.excuse(this.#prunings.to);
    if (this.#trusted !== undefined && this.#positions.lacks(this.#first)) throw stateMisfit(this.#chain, this.#first);
    const count = ranges.reduce((sum, [from, to]) => sum + to - from + 1, 0);
    const removed = this.#prunings.removed(count, ranges.at(-1)?.[1] ?? 0);
    if (removed === undefined) return [];
    const { to, seq } = removed.approval;
    this.#report(to, 'pruned', `${count} events up to here were removed, as the event at seq ${seq} approves`);
    return ranges;
  }

  #checkLink(seq: number, body: EventClaims, broken: boolean): void {
    const { links, weak, tsMs } = this.#before;
    if (broken || links === undefined) return;
    if (!links.includes(body.prevHash)) {
      if (weak)
        this.#report(
          seq - 1,
          'body-edited',
          'the event, vouched for by no signature of its own, is not the one that the next event follows',
        );
      else this.#report(seq, 'forked', `the event does not follow the one at seq ${seq - 1}`);
      return;
    }
    if (tsMs !== undefined && body.tsMs < tsMs - CLOCK_TOLERANCE_MS) {
      this.#report(seq, 'clock-regression', `${tsMs - body.tsMs} ms before the event it follows`);
    }
  }

  #trackDeferred({ seq, deferred }: EventFacts, { covers }: EventClaims): void {
    if (deferred) this.#deferred.unsigned(seq);
    else if (!this.#deferred.signed(seq, covers)) {
      this.#report(seq, 'forked', 'the event covers other events than the unsigned ones that stand before it');
    }
  }

  #checkMode({ seq, signMode, deferred }: EventFacts, body: EventClaims): void {
    const wrong = deferred ? undefined : this.#modes.signed(seq, signMode, body);
    if (wrong !== undefined) this.#report(wrong, 'projection-edited', 'signMode: no event switched to this mode');
  }

  /** A second row at the same seq: only possible without the primary key, or in an export. */
  #second(facts: EventFacts, body: EventClaims | undefined): void {
    const { seq } = facts;
    this.#modes.lost();
    this.#deferred.lost();
    const copy = this.#before.hashes.includes(facts.hash);
    if (copy) this.#report(seq, 'replayed', `seq ${seq} stands in the log twice`);
    else if (body !== undefined && body.seq !== seq) this.#positions.surplus(seq, body.seq);
    else this.#report(seq, 'forked', `two events at seq ${seq}`);
    if (this.#before.hashes.length >= MAX_BRANCHES) return;
    this.#before.hashes.push(facts.hash);
    this.#before.links?.push(facts.hash);
  }

  /** Names the edit of the previous row by what the next event (or the head) says its hash was. */
  #decide(next: readonly string[]): void {
    const { undecided, seq } = this.#before;
    if (undecided === undefined) return;
    if (next.includes(undecided.bodyHash)) this.#report(seq, 'hash-edited', 'the hash is not that of the body');
    else this.#report(seq, 'body-edited', 'the body does not have the stored hash');
    this.#before = { ...this.#before, undecided: undefined };
  }

  #checkTail(head: Head): void {
    const last = Math.max(this.#positions.lastPlace(head.seq), this.#first - 1);
    const { seq, links, weak } = this.#before;
    if (head.seq > last) {
      this.#report(last + 1, 'tail-truncated', `the head is at seq ${head.seq}, the last event at ${last}`);
    } else if (head.seq < last) {
      this.#report(last, 'tail-truncated', `the head is at seq ${head.seq}, but events go on to ${last}`);
    } else if (head.seq === seq && links !== undefined && !links.includes(head.hash)) {
      const rewritten = weak ? ', or the unsigned event was rewritten' : '';
      this.#report(seq, 'tail-truncated', `the head has another hash than the last event${rewritten}`);
    } else if (head.seq === seq && links !== undefined) this.#checkHead(head);
  }

  /** What else the head says of the events up to it. */
  #checkHead({ seq, deferredFrom, signMode }: Head): void {
    if (deferredFrom !== undefined && !this.#deferred.fits(seq, deferredFrom)) {
      this.#report(seq, 'projection-edited', 'deferred_from: not the first unsigned event without a cover');
    }
    if (signMode !== undefined && !this.#modes.fits(signMode)) {
      this.#report(seq, 'projection-edited', 'sign_mode: not the mode that the chain is in');
    }
  }

  #report(seq: number, name: FindingClass, detail: string): void {
    if (BODIES_DIFFER.has(name)) this.#tree?.differs(seq);
    this.#findings.add(this.#chain, seq, name, detail);
  }
}
