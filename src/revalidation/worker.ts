import { setImmediate as breathe } from 'node:timers/promises';

import type { Trx } from '../storage/database.ts';
import { LeaseLost } from './errors.ts';
import { type JudgedPage, judgePage, type PageMode } from './judgement.ts';
import type { AgentResult } from './outcome.ts';
import { commitPage, type PageDependencies, type PageRun } from './page.ts';
import { advance, claim, giveBack, type Lease, pageOfGoverned, type RevalidationRow } from './store.ts';

/** Agents checked in memory and committed together: events of one unit, and the time the chain is locked, stay small. */
const PAGE_SIZE = 100;
/** Ms; renewed with every page, which takes a fraction of a second. */
export const LEASE_MS = 30_000;
/** Ms until somebody tries again what could not go on: no signer, no policy, a row that never holds still. */
const RETRY_MS = 5_000;

export interface WorkerOptions extends PageDependencies {
  readonly workerId: string;
  readonly clock: () => number;
}

export type RunEnd = 'done' | 'elsewhere' | 'postponed';

/**
 * Works on one revalidation until it is done, if its lease can be had. Everything is stored page by page, so whoever
 * takes it over after a crash goes on where the last page ended. Rejects with what kept it from going on.
 */
export async function runRevalidation(
  options: WorkerOptions,
  workspaceId: string,
  id: string,
  signal: AbortSignal,
  report: (results: readonly AgentResult[]) => void,
): Promise<RunEnd> {
  const lease = (): Lease => ({ by: options.workerId, until: new Date(options.clock() + LEASE_MS) });
  const row = await unit(options, workspaceId, (trx, now) => claim(trx, workspaceId, id, lease(), now));
  if (row === undefined) return 'elsewhere';
  const run: PageRun = { workspaceId, id, policyHash: row.policy_hash, lease };
  let end: RunEnd = 'postponed';
  try {
    end = await runPages(options, run, row, signal, report);
    return end;
  } catch (error) {
    if (!(error instanceof LeaseLost)) throw error;
    end = 'elsewhere';
    return end;
  } finally {
    if (end === 'postponed') await postpone(options, run, signal);
  }
}

async function runPages(
  options: WorkerOptions,
  run: PageRun,
  row: RevalidationRow,
  signal: AbortSignal,
  report: (results: readonly AgentResult[]) => void,
): Promise<RunEnd> {
  let mode: PageMode = 'full';
  let page = await nextPage(options, run, row, row.after_id, mode);
  while (!signal.aborted) {
    const last = page.ids.at(-1);
    if (last === undefined) return mode === 'full' ? finish(options, run) : 'postponed';
    // The next page is judged while this one is committed: the one waits for the processor, the other for the database.
    const following = nextPage(options, run, row, last, mode);
    // What keeps the next page from being judged must not keep this one from being committed: it is thrown below.
    following.catch(() => undefined);
    const end = await commitPage(options, run, page, mode, report);
    if (end === 'superseded') return finish(options, run);
    // Without a signer the rest is only searched for agents that fail; the stored progress stays here.
    if (end === 'unsigned') mode = 'restrict';
    page = await following;
    // Requests come first: a revalidation of many pages must not hold the event loop.
    await breathe();
  }
  return 'postponed';
}

async function nextPage(
  options: WorkerOptions,
  run: PageRun,
  row: RevalidationRow,
  afterId: string | null,
  mode: PageMode,
): Promise<{ ids: string[]; judged: JudgedPage }> {
  const ids = await nextIds(options, row, afterId);
  return { ids, judged: await judgePage(options, run, ids, mode) };
}

async function nextIds(options: WorkerOptions, row: RevalidationRow, afterId: string | null): Promise<string[]> {
  const { workspace_id: workspaceId, agent_ids: listed } = row;
  if (listed !== null) return listed.filter((id) => afterId === null || id > afterId).slice(0, PAGE_SIZE);
  return options.storage.read(workspaceId, (trx) => pageOfGoverned(trx, workspaceId, afterId, PAGE_SIZE));
}

async function finish(options: WorkerOptions, run: PageRun): Promise<RunEnd> {
  await unit(options, run.workspaceId, (trx, now) => advance(trx, run.workspaceId, run.id, { finished: true }, now));
  return 'done';
}

/** At a shutdown the next replica may go on at once. */
async function postpone(options: WorkerOptions, run: PageRun, signal: AbortSignal): Promise<void> {
  const until = new Date(options.clock() + (signal.aborted ? 0 : RETRY_MS));
  const lease = { by: options.workerId, until };
  await unit(options, run.workspaceId, (trx) => giveBack(trx, run.workspaceId, run.id, lease));
}

/** Bookkeeping without an event: it needs the chain's lock, and no signer. */
function unit<T>(options: WorkerOptions, chain: string, work: (trx: Trx, now: Date) => Promise<T>): Promise<T> {
  return options.audit.commit({ chain, brake: true, work: ({ trx, now }) => work(trx, new Date(now)) });
}
