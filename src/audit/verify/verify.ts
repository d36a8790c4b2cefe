import type { Anchor } from './anchors.ts';
import { ChainCheck, type ResumePoint } from './chain-check.ts';
import { stateMisfit } from './chain-start.ts';
import { VerifyError } from './errors.ts';
import { checkEvent, type EventFacts } from './event-check.ts';
import { Findings } from './finding.ts';
import { GrowingTree } from './growing-tree.ts';
import type { LogCheck } from './log-check.ts';
import type { LogSource } from './log-source.ts';
import { readLog } from './read-log.ts';
import type { Registry } from './registry.ts';
import type { KnownRegistry } from './registry-check.ts';
import { summarise, type VerifyReport } from './report.ts';
import type { EventSource, SourcePage } from './row.ts';
import type { SignatureVerdict } from './signature.ts';
import { type SignatureWorkers, startSignatureWorkers } from './signature-workers.ts';
import type { VerifiedChains } from './state.ts';
import { strengthOf } from './strength.ts';
import type { Tally } from './tally.ts';

/** Pages under way per worker: one being verified, one waiting, so that no thread idles and memory stays flat. */
const PAGES_PER_WORKER = 2;

export interface VerifyOptions {
  readonly source: EventSource;
  /** Where the log of checkpoints is, if it is not the source's own. */
  readonly log?: LogSource | undefined;
  readonly registry: Registry;
  /** The registry as events may name it; undefined: nothing says which one it is. */
  readonly known?: KnownRegistry | undefined;
  /** Checkpoints from outside, their signatures good. */
  readonly anchors?: readonly Anchor[];
  /** First seq; its prevHash is taken on trust when it is not 1. */
  readonly from: number;
  /** Chains that an earlier verification found good, and how far. */
  readonly verified?: VerifiedChains;
  readonly chain?: string | undefined;
  readonly workers: number;
  onProgress(events: number, fraction: number): void;
  /** May ask, after each page and at the end (`done`), how far the log is good; never called after anything was found. */
  onVerified?(collect: () => VerifiedChains, done: boolean): Promise<void>;
}

interface CheckedPage {
  readonly facts: readonly EventFacts[];
  readonly verdicts: ReadonlyMap<EventFacts, SignatureVerdict>;
  readonly fraction: number;
}

/**
 * Verifies a whole log from its stored rows alone, sharing no code with what wrote it. Memory does not grow with the
 * number of events. Throws VerifyError when it cannot be read; damage is in the report.
 */
export async function verifyLog(options: VerifyOptions): Promise<VerifyReport> {
  const { source, registry, from, verified = new Map<string, ResumePoint>(), anchors = [] } = options;
  const findings = new Findings();
  const tally: Tally = { events: 0, signatures: 0, anchored: 0, unverifiable: new Map() };
  const log = await logOf(options, findings);
  const chains = new Map<string, ChainCheck>();
  /** Chains that were met, of those that something else knows of. */
  const met = new Set<string>();
  const good = new Map(verified);
  const workers = startSignatureWorkers([...registry.values()], options.workers);
  try {
    for await (const page of checkedPages(source.pages(verified), workers)) {
      for (const facts of page.facts) {
        if (source.ordered && !chains.has(facts.chain)) await finish();
        (chains.get(facts.chain) ?? (await started(facts.chain))).add(facts, page.verdicts.get(facts));
      }
      options.onProgress(tally.events, page.fraction);
      await keepState(false);
    }
    await finish();
    for await (const { chain, detail } of source.missingChains()) {
      met.add(chain);
      findings.add(chain, from, 'chain-missing', detail);
    }
    for await (const { chain, seq } of source.strayValues?.() ?? []) {
      findings.add(chain, seq, 'projection-edited', 'personal: a value of an event that is not there');
    }
    reportUnmet();
  } finally {
    await workers.close();
  }
  await keepState(true);
  const trust = `the prevHash of seq ${from} was taken on trust (--from), and the trees were not compared`;
  const notes = [...(from === 1 ? [] : [trust]), ...(source.notes ?? [])];
  return summarise(findings, tally, strengthOf({ anchors, log, tally, source, registry }), notes);

  async function started(name: string): Promise<ChainCheck> {
    const point = verified.get(name);
    const tree = point === undefined ? undefined : GrowingTree.from(point.tree);
    const trusted = point === undefined || tree === undefined ? undefined : { hash: point.hash, tree };
    const said = log?.named.has(name) === true ? undefined : log;
    const covered = said && ((size: number) => said.cover.of(name, size));
    const prunings = await source.prunings(name);
    const begin = { from: point?.seq ?? from, trusted, claims: said?.claims.of(name), covered, prunings };
    const check = new ChainCheck(name, begin, { registry, known: options.known, findings, tally });
    chains.set(name, check);
    if (point !== undefined || log?.claims.of(name) !== undefined) met.add(name);
    return check;
  }

  async function finish(): Promise<void> {
    for (const [name, chain] of chains) {
      noteGood(name, chain);
      chain.finish(await source.head(name));
    }
    chains.clear();
  }

  function noteGood(name: string, chain: ChainCheck): void {
    const point = options.onVerified === undefined ? undefined : chain.resumePoint;
    if (point !== undefined) good.set(name, point);
  }

  async function keepState(done: boolean): Promise<void> {
    if (options.onVerified === undefined || findings.problems > 0 || tally.unverifiable.size > 0) return;
    // In a file without order an event of a chain that seemed good may still come; in order, damage is always further on.
    if (tally.signatures === 0 || !(done || source.ordered)) return;
    const collect = () => {
      for (const [name, chain] of chains) noteGood(name, chain);
      return good;
    };
    await options.onVerified(collect, done);
  }

  /** Chains of which there is not one event, though the state or the log of checkpoints knows of some. */
  function reportUnmet(): void {
    for (const [chain, { seq }] of verified) {
      const asked = options.chain === undefined || options.chain === chain;
      if (asked && !met.has(chain)) throw stateMisfit(chain, seq);
    }
    if (from !== 1) return;
    for (const [chain, claims] of log?.claims.chains ?? []) {
      if (met.has(chain) || log?.named.has(chain) === true) continue;
      const detail = `the log of checkpoints has the chain at ${claims.newest}, but it has no event here`;
      findings.add(chain, 1, 'backup-restored', detail);
    }
  }
}

/** The log of checkpoints, checked by itself. undefined: there is none, and none is needed. */
async function logOf(options: VerifyOptions, findings: Findings): Promise<LogCheck | undefined> {
  const { source, registry, anchors = [], chain } = options;
  const registryFits = options.known?.withLog === true && options.log === undefined;
  const log = options.log ?? source.log;
  if (log !== undefined && typeof log !== 'string') {
    return readLog(log, anchors, { registry, findings, chain, registryFits });
  }
  if (anchors.length === 0) return undefined;
  const why = log ?? 'the events alone do not show what it was made over';
  throw new VerifyError('CHECKPOINT', `there is no log of checkpoints to compare the given one with: ${why}`);
}

/** Pages in order, while the workers are at the signatures of those after them. */
async function* checkedPages(pages: AsyncIterable<SourcePage>, workers: SignatureWorkers): AsyncGenerator<CheckedPage> {
  const underWay: Promise<CheckedPage>[] = [];
  for await (const page of pages) {
    const checked = checkPage(page, workers);
    // Where the work is broken off nobody awaits the pages under way any more.
    checked.catch(() => undefined);
    underWay.push(checked);
    const first = underWay.length > workers.size * PAGES_PER_WORKER ? underWay.shift() : undefined;
    if (first !== undefined) yield await first;
  }
  for (const page of underWay) yield await page;
}

async function checkPage({ rows, fraction }: SourcePage, workers: SignatureWorkers): Promise<CheckedPage> {
  const facts = rows.map(checkEvent);
  const signed = facts.flatMap((event) => (event.task === undefined ? [] : [{ event, task: event.task }]));
  const judged = await workers.judge(signed.map(({ task }) => task));
  const verdicts = new Map<EventFacts, SignatureVerdict>();
  signed.forEach(({ event }, index) => {
    const verdict = judged[index];
    if (verdict !== undefined) verdicts.set(event, verdict);
  });
  return { facts, verdicts, fraction };
}
