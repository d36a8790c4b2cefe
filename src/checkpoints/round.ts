import type { Clock } from '../clock.ts';
import type { Failpoints } from '../failpoints.ts';
import type { Trx } from '../storage/database.ts';
import type { Storage } from '../storage/storage.ts';
import { formatCheckpoint } from '../transparency/checkpoint.ts';
import { leafHash } from '../transparency/merkle.ts';
import { formatNote } from '../transparency/note.ts';
import { type NoteSigner, signNote } from '../transparency/sign-note.ts';
import { consistentLog, type FindCheckpointKey, globalRoot, type LogState, type SignedTree } from './global-log.ts';
import { type Growth, growthAfter, readRoots } from './growth.ts';
import { enter, isRaced, publish, readLeaves, type StoredNote, writeFailure } from './store.ts';
import { GLOBAL_TREE, newlyFull, type Tile } from './tiles.ts';

/** ms after which the same tree is signed anew, so that an old note shows that nobody signs any more. */
const IDLE_MS = 3_600_000;
/** Part of an hour by which a round may come early and still be the hourly one. */
const EARLY_MS = 5_000;

export interface RoundParts {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly signer: NoteSigner;
  readonly signerId: string;
  readonly findKey: FindCheckpointKey;
  /** Rejects with SignerError unless the registry has the signer in force. */
  requireInForce(trx: Trx, now: number): Promise<void>;
  readonly failpoints?: Failpoints | undefined;
}

export interface RoundResult {
  /** The note that was signed and stored in this round. */
  readonly note: StoredNote | undefined;
  /** Chains without a new checkpoint because their rows were changed. */
  readonly damaged: readonly string[];
}

/** Makes rounds one after the other; each goes on from what is committed, and never against what the last one signed. */
export function createRounds(parts: RoundParts): (signal?: AbortSignal) => Promise<RoundResult> {
  const { storage, clock, signer, signerId, findKey, failpoints } = parts;
  let signed: SignedTree | undefined;

  return async (signal) => {
    try {
      const damaged = await enterGrowth(signal);
      return { note: await signLog(), damaged };
    } catch (error) {
      throw writeFailure(error);
    }
  };

  /** Commits entries for all chains that have grown, page by page; whoever finds another replica at it leaves it to that one. */
  async function enterGrowth(signal: AbortSignal | undefined): Promise<readonly string[]> {
    const damaged: string[] = [];
    for (let after: string | undefined = ''; after !== undefined && signal?.aborted !== true; ) {
      const page: Page = await storage.system((trx) => readPage(trx, after ?? ''));
      damaged.push(...page.growth.damaged);
      if (page.growth.entries.length > 0 && !(await entered(page))) return damaged;
      after = page.growth.next;
    }
    return damaged;
  }

  async function readPage(trx: Trx, after: string): Promise<Page> {
    const { size } = await consistentLog(trx, findKey, signed);
    const growth = await growthAfter(trx, after);
    return { size, growth, tiles: [...growth.tiles, ...(await globalTiles(trx, size, growth))] };
  }

  async function entered({ size, growth, tiles }: Page): Promise<boolean> {
    try {
      await storage.transaction((session) => enter(session, size, growth.entries, tiles, clock()));
    } catch (error) {
      if (isRaced(error)) return false;
      throw error;
    }
    await failpoints?.('checkpoint.entered', GLOBAL_TREE);
    return true;
  }

  /** Signs what is committed, if it is more than the newest note says, or that is an hour old. */
  async function signLog(): Promise<StoredNote | undefined> {
    const now = clock();
    const tree = await storage.system(async (trx): Promise<SignedTree | undefined> => {
      const log = await consistentLog(trx, findKey, signed);
      if (!isDue(log, now)) return undefined;
      await parts.requireInForce(trx, now);
      return { size: log.size, rootHash: await globalRoot(trx, log.size) };
    });
    if (tree === undefined) return undefined;
    const text = formatCheckpoint({ origin: signer.key.name, ...tree });
    const note = formatNote({ text, signatures: [await signNote(text, signer)] });
    signed = tree;
    await failpoints?.('checkpoint.signed', GLOBAL_TREE);
    const stored = { size: tree.size, createdAt: new Date(now), note, signerId };
    const kept = await storage.transaction((session) => publish(session, stored, now - IDLE_MS + EARLY_MS));
    return kept ? stored : undefined;
  }
}

interface Page {
  readonly size: number;
  readonly growth: Growth;
  readonly tiles: readonly Tile[];
}

function isDue({ size, newest }: LogState, now: number): boolean {
  if (size === 0) return false;
  if (newest === undefined || size > newest.size) return true;
  return now - newest.createdAt.getTime() >= IDLE_MS - EARLY_MS;
}

async function globalTiles(trx: Trx, size: number, { entries }: Growth): Promise<Tile[]> {
  const leaves = entries.map(({ entry }) => leafHash(entry));
  return newlyFull(GLOBAL_TREE, size, leaves, (level, from, to) =>
    level === 0 ? readLeaves(trx, GLOBAL_TREE, from, to) : readRoots(trx, GLOBAL_TREE, level - 1, from, to),
  );
}
