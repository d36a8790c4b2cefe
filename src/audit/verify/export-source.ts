import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';

import { VerifyError } from './errors.ts';
import { fromExportLine } from './export-line.ts';
import type { AuditRow, EventSource, SourcePage } from './row.ts';

const PAGE_ROWS = 250;
/** Bytes; body, payload and base64 of the largest event stay well below. */
const MAX_LINE = 4_194_304;
const LINE_FEED = 0x0a;

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

  async function* pages(): AsyncGenerator<SourcePage> {
    let rows: AuditRow[] = [];
    let read = 0;
    let number = 0;
    for await (const line of linesOf(path)) {
      number += 1;
      read += line.length + 1;
      if (line.length === 0) continue;
      const row = fromExportLine(line.toString('utf8'), number);
      if ((chain !== undefined && row.chain !== chain) || row.seq < from) continue;
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
    close: () => Promise.resolve(),
  };
}

/** An export cannot know of chains that it does not hold. */
async function* none(): AsyncGenerator<never> {
  yield* [];
}

/** Lines without their break, in bounded memory: node:readline would buffer a line of any length. */
async function* linesOf(path: string): AsyncGenerator<Buffer> {
  let rest = Buffer.alloc(0);
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1_048_576 })) {
      let bytes: Buffer = Buffer.concat([rest, chunk]);
      for (let end = bytes.indexOf(LINE_FEED); end !== -1; end = bytes.indexOf(LINE_FEED)) {
        yield bytes.subarray(0, end);
        bytes = bytes.subarray(end + 1);
      }
      if (bytes.length > MAX_LINE)
        throw new VerifyError('UNREADABLE', `${path} has a line of more than ${MAX_LINE} bytes`);
      rest = Buffer.from(bytes);
    }
  } catch (cause) {
    if (cause instanceof VerifyError) throw cause;
    throw new VerifyError('UNREADABLE', `cannot read the export ${path}`, cause);
  }
  if (rest.length > 0) yield rest;
}
