import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';

import { openDatabaseSource } from '../audit/verify/database-source.ts';
import { VerifyError } from '../audit/verify/errors.ts';
import { toExportLine } from '../audit/verify/export-line.ts';
import { printable } from '../audit/verify/report.ts';
import type { EventSource } from '../audit/verify/row.ts';
import { type Command, type CommandIo, EXIT, guarded, parseOptions } from './command.ts';
import { databaseUrlOf } from './database-url.ts';

/** Nothing to export, or rows are hidden from the login: as `audit verify` says it. */
const INCOMPLETE = 2;

const USAGE = `Usage: castellan audit export [--database-url <url>] [--chain <name>] [--out <file.jsonl>]

Writes the audit log as JSONL, one event per line in the order of its chain, bodies byte for byte (base64):
{ id, chain, seq, eventType, payload, actor, prevHash, hash, signature, signerId, ts, body, signMode }

  --database-url <url>  the database (default: DATABASE_URL or DATABASE_URL_FILE); any login that sees all rows
  --chain <name>        only this workspace's chain (_system for what belongs to none)
  --out <file>          write here, refusing a file that exists (default: standard output)
  -h, --help            show this

Exit codes: 0 exported, 2 nothing to export or rows hidden from this login, 3 cannot read or write, 64 usage.
`;

export const auditExportCommand: Command = {
  name: 'audit export',
  summary: 'write the audit log as JSONL evidence',
  run: auditExport,
};

/** `castellan audit export`; resolves with the exit code. */
export function auditExport(argv: readonly string[], io: CommandIo): Promise<number> {
  return guarded(io, USAGE, async () => {
    const { values } = parseOptions(argv, {
      'database-url': { type: 'string' },
      chain: { type: 'string' },
      out: { type: 'string' },
    });
    if (values.help === true) {
      io.stdout.write(USAGE);
      return EXIT.ok;
    }
    const databaseUrl = databaseUrlOf(values['database-url'], io.env);
    try {
      const count = await exportLog(databaseUrl, values.chain, values.out, io);
      io.stderr.write(`exported ${count} events\n`);
      return count > 0 ? EXIT.ok : INCOMPLETE;
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error;
      io.stderr.write(`castellan audit export: ${printable(error.message)}\n`);
      return error.code === 'HIDDEN' ? INCOMPLETE : EXIT.io;
    }
  });
}

async function exportLog(
  databaseUrl: string,
  chain: string | undefined,
  out: string | undefined,
  io: CommandIo,
): Promise<number> {
  const source = await openDatabaseSource({ databaseUrl, chain });
  try {
    if (out === undefined) return await writeLines(source, io.stdout);
    const file = createWriteStream(out, { flags: 'wx', mode: 0o600 });
    const done = finished(file);
    // One promise tells of every failure of the file: the write under way and the end both wait on it.
    const count = await Promise.race([writeLines(source, file), done.then(() => 0)]);
    file.end();
    await done;
    return count;
  } catch (error) {
    if (error instanceof VerifyError) throw error;
    throw new VerifyError(
      'UNREADABLE',
      `cannot write the export: ${error instanceof Error ? error.message : 'failed'}`,
    );
  } finally {
    await source.close();
  }
}

/** Memory stays flat: a page is read only when the one before is out. */
async function writeLines(source: EventSource, stream: Writable): Promise<number> {
  let count = 0;
  for await (const { rows } of source.pages()) {
    if (rows.length === 0) continue;
    count += rows.length;
    if (!stream.write(`${rows.map(toExportLine).join('\n')}\n`)) await once(stream, 'drain');
  }
  return count;
}
