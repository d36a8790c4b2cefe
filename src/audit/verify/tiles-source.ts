import { hash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { leafHash } from '../../transparency/merkle.ts';
import { parseBody } from './body.ts';
import { VerifyError } from './errors.ts';
import { TILE_HASH } from './event-check.ts';
import { PRUNING_MARK } from './pruning.ts';
import type { AuditRow, Begin, EventSource, SourcePage } from './row.ts';
import { type SignatureLine, signaturesOf } from './signature-lines.ts';
import { bundlesOf } from './tile-directory.ts';
import { openTilesLog } from './tiles-log.ts';

/** Newest events that may approve the removal of others. */
const MAX_PRUNINGS = 1000;
const CHAIN = /^(?:_system|[a-z0-9][a-z0-9-]{0,62})$/;

/** The events of a directory of tiles, as `castellan audit export --format tiles` writes it. It carries no heads. */
export async function openTilesSource(options: {
  directory: string;
  chain?: string | undefined;
  from?: number | undefined;
}): Promise<EventSource> {
  const { directory, chain, from = 1 } = options;
  const names = (await chainNames(directory)).filter((name) => chain === undefined || name === chain);

  async function* pages(begin: Begin = new Map()): AsyncGenerator<SourcePage> {
    for (const [done, name] of names.entries()) {
      const path = join(directory, 'chains', name);
      for await (const { rows, part } of rowsOf(path, name, begin.get(name)?.seq ?? from)) {
        yield { rows, fraction: (done + part) / names.length };
      }
    }
  }

  return {
    ordered: true,
    pages,
    head: () => Promise.resolve(null),
    missingChains: none,
    prunings: (name) => pruningsOf(join(directory, 'chains', name)),
    log: await openTilesLog(directory),
    close: () => Promise.resolve(),
  };
}

/** `part`: how much of the chain has been read, 0 … 1. */
async function* rowsOf(
  directory: string,
  chain: string,
  from: number,
): AsyncGenerator<{ rows: AuditRow[]; part: number }> {
  const path = join(directory, 'signatures.jsonl');
  const signatures = await signaturesOf(path);
  for await (const { first, entries = [], hashes } of bundlesOf(directory, from - 1, signatures.last)) {
    const rows: AuditRow[] = [];
    for (const [at, body] of entries.entries()) {
      const seq = first + at + 1;
      const line = await signatures.take(seq);
      // In a bundle with later ones an entry that was removed has no bytes.
      if (seq >= from && body.length > 0) rows.push(rowOf(chain, seq, body, { line, stored: hashes?.[at] }));
    }
    const read = first + rows.length;
    if (rows.length > 0) yield { rows, part: Math.min(read / Math.max(signatures.last, read), 1) };
  }
}

async function pruningsOf(directory: string): Promise<Buffer[]> {
  const found: Buffer[] = [];
  const { last } = await signaturesOf(join(directory, 'signatures.jsonl'));
  for await (const { entries = [] } of bundlesOf(directory, 0, last)) {
    for (const entry of entries) if (entry.includes(PRUNING_MARK)) found.push(Buffer.from(entry));
    found.splice(0, found.length - MAX_PRUNINGS);
  }
  return found;
}

/** A row has columns beside its body; here they are what the body says, so that none of them can differ. */
function rowOf(
  chain: string,
  seq: number,
  body: Buffer,
  { line, stored }: { line: SignatureLine | undefined; stored: Buffer | undefined },
): AuditRow {
  const parsed = parseBody(body);
  const event = typeof parsed === 'string' ? undefined : parsed;
  return {
    chain,
    seq,
    id: event?.id ?? '',
    eventType: event?.eventType ?? '',
    ts: event?.ts ?? '',
    actor: event?.actor,
    payload: JSON.stringify(event?.payload ?? null),
    body,
    hash: hash('sha256', body, 'hex'),
    prevHash: event?.prevHash ?? '',
    signature: line?.signature ?? null,
    signerId: line === undefined ? (event?.signerId ?? null) : line.signerId,
    signMode: line?.signMode ?? 'event',
    batch: line?.batch,
    ...(stored === undefined || stored.equals(leafHash(body)) ? {} : { otherwise: TILE_HASH }),
  };
}

async function chainNames(directory: string): Promise<string[]> {
  try {
    return (await readdir(join(directory, 'chains'))).filter((name) => CHAIN.test(name)).sort();
  } catch (cause) {
    throw new VerifyError('UNREADABLE', `${directory} is no directory of tiles with the chains of a log`, cause);
  }
}

/** A directory of tiles cannot know of chains that it does not hold; the log of checkpoints does. */
async function* none(): AsyncGenerator<never> {
  yield* [];
}
