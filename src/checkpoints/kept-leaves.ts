import { readOfSystem } from '../signers/registry-file.ts';
import { readChainLeaves } from './store.ts';

/** Leaf hashes of events `from` to `to`, also of removed ones; fewer where an event is missing for which no event approves it. */
export async function leavesOfDatabase(url: string, chain: string, from: number, to: number): Promise<Buffer[]> {
  const leaves = await readOfSystem(url, (trx) => readChainLeaves(trx, [{ chain, from: from - 1, to }]));
  return leaves.get(chain) ?? [];
}
