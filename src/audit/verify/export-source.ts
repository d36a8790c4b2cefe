import { stat } from 'node:fs/promises';

import { VerifyError } from './errors.ts';
import { fromExportLine } from './export-line.ts';
import { linesOf } from './lines.ts';
import type { AuditRow, Begin, EventSource, SourcePage } from './row.ts';

const PAGE_ROWS = 250;

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
    log: undefined,
    close: () => Promise.resolve(),
  };
}

/** An export cannot know of chains that it does not hold. */
async function* none(): AsyncGenerator<never> {
  yield* [];
}
