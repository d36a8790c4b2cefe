import { stat } from 'node:fs/promises';

import { VerifyError } from './errors.ts';
import { fromExportLine } from './export-line.ts';
import { linesOf } from './lines.ts';
import { PRUNING_MARK } from './pruning.ts';
import type { AuditRow, Begin, EventSource, SourcePage } from './row.ts';

const PAGE_ROWS = 250;
/** Events that may approve the removal of others, of all chains. */
const MAX_PRUNINGS = 10_000;
const MARKS = marksInBase64();

/** The events of a JSONL export. It carries no heads, so that a cut tail cannot be seen in it. */
export async function openExportSource(options: {
  path: string;
  chain?: string | undefined;
  from?: number | undefined;
}): Promise<EventSource> {
  const { path, chain, from = 1 } = options;
  const size = await stat(path).then(
    (file) => file.size,
    (cause: unknown) => {
      throw new VerifyError('UNREADABLE', `cannot read the export ${path}`, cause);
    },
  );

  let candidates: Promise<ReadonlyMap<string, readonly Buffer[]>> | undefined;

  async function* pages(begin: Begin = new Map()): AsyncGenerator<SourcePage> {
    let rows: AuditRow[] = [];
    let read = 0;
    let number = 0;
    for await (const line of linesOf(path)) {
      number += 1;
      read += line.length + 1;
      if (line.length === 0) continue;
      const row = fromExportLine(line.toString('utf8'), number);
      if ((chain !== undefined && row.chain !== chain) || row.seq < (begin.get(row.chain)?.seq ?? from)) continue;
      rows.push(row);
      if (rows.length < PAGE_ROWS) continue;
      yield { rows, fraction: Math.min(read / size, 1) };
      rows = [];
    }
    if (rows.length > 0) yield { rows, fraction: 1 };
  }

  return {
    ordered: false,
    pages,
    head: () => Promise.resolve(null),
    missingChains: none,
    prunings: async (name) => {
      candidates ??= pruningsIn(path);
      return (await candidates).get(name) ?? [];
    },
    log: undefined,
    close: () => Promise.resolve(),
  };
}

/** A reading of its own, since an approval stands behind what it approves: lines without the mark are not even parsed. */
async function pruningsIn(path: string): Promise<ReadonlyMap<string, readonly Buffer[]>> {
  const found = new Map<string, Buffer[]>();
  let kept = 0;
  let number = 0;
  for await (const line of linesOf(path)) {
    number += 1;
    if (kept === MAX_PRUNINGS || !MARKS.some((mark) => line.includes(mark))) continue;
    const { chain, body } = fromExportLine(line.toString('utf8'), number);
    if (!body.includes(PRUNING_MARK)) continue;
    const bodies = found.get(chain) ?? [];
    found.set(chain, bodies);
    bodies.push(body);
    kept += 1;
  }
  return found;
}

/** What of the base64 of a body is always there when the mark is in the body, wherever it begins. */
function marksInBase64(): Buffer[] {
  return [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), Buffer.from(PRUNING_MARK)]).toString('base64');
    // The first and the last groups depend on what is beside the mark.
    return Buffer.from(text.slice(before === 0 ? 0 : 4, -4));
  });
}

/** An export cannot know of chains that it does not hold. */
async function* none(): AsyncGenerator<never> {
  yield* [];
}
