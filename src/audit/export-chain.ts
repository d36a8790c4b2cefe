import { addAbortSignal, Readable } from 'node:stream';

import { createChainPlaces } from './chain-places.ts';
import { AuditError } from './errors.ts';
import { type DatabaseSource, openDatabaseSource } from './verify/database-source.ts';
import { toExportLine } from './verify/export-line.ts';

/**
 * The events of a chain from the seq `from` on, as `castellan audit export` writes them, of one moment. A stream that could
 * not be read to its end fails; `signal` ends it and its connection. NOT_FOUND for an unknown chain,
 * AUDIT_UNAVAILABLE when it cannot begin.
 */
export type ExportChain = (chain: string, from: number, signal: AbortSignal) => Promise<Readable>;

/** Two exports at a time and one of each chain: each has a connection of its own for as long as the client reads. */
export function createExportChain(databaseUrl: string): ExportChain {
  const takePlace = createChainPlaces('an export', 'other exports');
  return async (chain, from, signal) => {
    const release = takePlace(chain);
    try {
      const source = await openDatabaseSource({ databaseUrl, chain, from });
      return await streamOf(source, chain, signal, release);
    } catch (error) {
      release();
      throw error instanceof AuditError ? error : new AuditError('AUDIT_UNAVAILABLE', 'the log cannot be read', error);
    }
  };
}

async function streamOf(
  source: DatabaseSource,
  chain: string,
  signal: AbortSignal,
  release: () => void,
): Promise<Readable> {
  let closed: Promise<void> | undefined;
  const close = () => {
    closed ??= source.close().finally(release);
    return closed;
  };
  // A query under way fails by it; the stream alone would wait for its answer.
  signal.addEventListener('abort', () => void close(), { once: true });
  try {
    signal.throwIfAborted();
    const pages = linesOf(source);
    // Read before there is an answer, so that what fails at once is told as a problem.
    const first = await pages.next();
    const unknown = first.done === true && (await source.head(chain)) === undefined;
    if (unknown) throw new AuditError('NOT_FOUND', 'no such workspace');
    return addAbortSignal(signal, Readable.from(whole(first, pages, close), { objectMode: false }));
  } catch (error) {
    await close();
    throw error;
  }
}

/** The connection is closed before the stream ends: who has read all of it may ask again at once. */
async function* whole(
  first: IteratorResult<string, void>,
  others: AsyncGenerator<string, void>,
  close: () => Promise<void>,
): AsyncGenerator<string, void> {
  try {
    if (first.done !== true) yield first.value;
    yield* others;
  } finally {
    await close();
  }
}

/** Memory stays flat: a page is read only when the one before is out. */
async function* linesOf(source: DatabaseSource): AsyncGenerator<string, void> {
  for await (const { rows } of source.pages()) {
    if (rows.length > 0) yield `${rows.map(toExportLine).join('\n')}\n`;
  }
}
