import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { openDatabaseSource } from '../audit/verify/database-source.ts';
import type { AuditRow } from '../audit/verify/row.ts';
import { leavesOfDatabase } from '../checkpoints/kept-leaves.ts';
import { exportChain } from './audit-export-chain.ts';
import { exportCheckpoints } from './audit-export-log.ts';
import { writeWhole } from './audit-export-whole.ts';
import { Contradiction, storedSize } from './tile-export-state.ts';

/** What was written, and what the directory has in all. */
export interface TilesExport {
  readonly added: number;
  readonly events: number;
  /** Entries of the log of checkpoints; 0 without a note over it. */
  readonly entries: number;
}

/**
 * Writes the log as a directory of tiles, one for each chain and one for the log of checkpoints, behind what the directory holds
 * already: broken off, it is simply run again. Throws Contradiction when directory and log are not of one history.
 */
export async function exportTiles(
  databaseUrl: string,
  chain: string | undefined,
  directory: string,
): Promise<TilesExport> {
  const source = await openDatabaseSource({ databaseUrl, chain });
  try {
    const chains = join(directory, 'chains');
    await mkdir(chains, { recursive: true });
    const begin = await sizesIn(chains, chain);
    const left = new Set(begin.keys());
    let [added, events] = [0, 0];
    for await (const { name, rows } of byChain(source.pages(begin))) {
      left.delete(name);
      const from = begin.get(name)?.seq ?? 0;
      const size = await exportChain(join(chains, name), from, name, rows, (first, last) =>
        leavesOfDatabase(databaseUrl, name, first, last),
      );
      added += size - from;
      events += size;
    }
    const [lost] = left;
    if (lost !== undefined) {
      const seq = begin.get(lost)?.seq;
      throw new Contradiction(`the directory has chain ${lost} up to seq ${seq}, the log does not go so far`);
    }
    const entries = typeof source.log === 'object' ? await exportCheckpoints(directory, source.log) : 0;
    // Of the same moment as the events: the newest of them about the registry names exactly this one.
    const signers = await source.signers();
    await writeWhole(join(directory, 'signers.json'), `${JSON.stringify({ signers }, null, 2)}\n`);
    return { added, events, entries };
  } finally {
    await source.close();
  }
}

async function sizesIn(chains: string, only: string | undefined): Promise<Map<string, { seq: number }>> {
  const sizes = new Map<string, { seq: number }>();
  for (const name of await readdir(chains)) {
    const seq = only === undefined || only === name ? await storedSize(join(chains, name)) : 0;
    if (seq > 0) sizes.set(name, { seq });
  }
  return sizes;
}

interface ChainRows {
  readonly name: string;
  /** To be read to its end before the next chain is asked for. */
  readonly rows: AsyncGenerator<AuditRow, void, undefined>;
}

async function* byChain(pages: AsyncIterable<{ rows: readonly AuditRow[] }>): AsyncGenerator<ChainRows> {
  const all = flat(pages);
  let next = await all.next();
  async function* rowsOf(name: string): AsyncGenerator<AuditRow, void, undefined> {
    while (next.done !== true && next.value.chain === name) {
      yield next.value;
      next = await all.next();
    }
  }
  while (next.done !== true) yield { name: next.value.chain, rows: rowsOf(next.value.chain) };
}

async function* flat(
  pages: AsyncIterable<{ rows: readonly AuditRow[] }>,
): AsyncGenerator<AuditRow, undefined, undefined> {
  for await (const { rows } of pages) yield* rows;
  return undefined;
}
