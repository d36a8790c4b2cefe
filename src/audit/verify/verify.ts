import { ChainCheck, type Tally } from './chain-check.ts';
import { checkEvent, type EventFacts } from './event-check.ts';
import { Findings } from './finding.ts';
import type { Registry } from './registry.ts';
import { summarise, type VerifyReport } from './report.ts';
import type { EventSource, SourcePage } from './row.ts';
import type { SignatureVerdict } from './signature.ts';
import { type SignatureWorkers, startSignatureWorkers } from './signature-workers.ts';

/** Pages under way per worker: one being verified, one waiting, so that no thread idles and memory stays flat. */
const PAGES_PER_WORKER = 2;

export interface VerifyOptions {
  readonly source: EventSource;
  readonly registry: Registry;
  /** First seq; its prevHash is taken on trust when it is not 1. */
  readonly from: number;
  readonly workers: number;
  onProgress(events: number, fraction: number): void;
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
  const { source, registry, from } = options;
  const findings = new Findings();
  const tally: Tally = { events: 0, signatures: 0, unverifiable: new Map() };
  const chains = new Map<string, ChainCheck>();
  const workers = startSignatureWorkers([...registry.values()], options.workers);
  try {
    for await (const page of checkedPages(source, workers)) {
      for (const facts of page.facts) {
        if (source.ordered && !chains.has(facts.chain)) await finish(chains, source);
        chainOf(facts.chain).add(facts, page.verdicts.get(facts));
      }
      options.onProgress(tally.events, page.fraction);
    }
    await finish(chains, source);
    for await (const { chain, detail } of source.missingChains()) findings.add(chain, from, 'chain-missing', detail);
  } finally {
    await workers.close();
  }
  return summarise(findings, tally, from === 1 ? [] : [`the prevHash of seq ${from} was taken on trust (--from)`]);

  function chainOf(name: string): ChainCheck {
    const known = chains.get(name);
    if (known !== undefined) return known;
    const started = new ChainCheck(name, from, { registry, findings, tally });
    chains.set(name, started);
    return started;
  }
}

async function finish(chains: Map<string, ChainCheck>, source: EventSource): Promise<void> {
  for (const [name, chain] of chains) chain.finish(await source.head(name));
  chains.clear();
}

/** Pages in order, while the workers are at the signatures of those after them. */
async function* checkedPages(source: EventSource, workers: SignatureWorkers): AsyncGenerator<CheckedPage> {
  const underWay: Promise<CheckedPage>[] = [];
  for await (const page of source.pages()) {
    underWay.push(checkPage(page, workers));
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
