import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';

import { type DatabaseSourceOptions, openDatabaseSource } from '../audit/verify/database-source.ts';
import { VerifyError } from '../audit/verify/errors.ts';
import { toExportLine } from '../audit/verify/export-line.ts';
import { printable } from '../audit/verify/report.ts';
import type { EventSource } from '../audit/verify/row.ts';
import { StorageError } from '../storage/pg-errors.ts';
import { TransparencyError } from '../transparency/errors.ts';
import { exportTiles } from './audit-export-tiles.ts';
import { type Command, type CommandIo, EXIT, guarded, parseOptions, UsageError } from './command.ts';
import { databaseUrlOf } from './database-url.ts';
import { Contradiction } from './tile-export-state.ts';

/** Nothing to export, or rows are hidden from the login: as `audit verify` says it. */
const INCOMPLETE = 2;

const USAGE = `Usage: castellan audit export [--database-url <url>] [--format jsonl|tiles] [--chain <name>] [--out <path>]
                              [--personal]

Writes the audit log as evidence (docs/audit-format.md).
jsonl: one event per line in the order of its chain, bodies byte for byte (base64):
{ id, chain, seq, eventType, payload, actor, prevHash, hash, signature, signerId, ts, body, signMode, batch? }
tiles: a directory of Merkle tree tiles (C2SP tlog-tiles) of each chain and of the log of checkpoints, with the signatures,
the newest checkpoint and signers.json. Run again it adds what is new; a directory that ends in another history is refused
(what it had before is kept as it is: compare it by audit verify --tiles with --checkpoint).

  --database-url <url>  the database (default: DATABASE_URL or DATABASE_URL_FILE); any login that sees all rows
  --format <form>       jsonl (the default) or tiles
  --chain <name>        only this workspace's chain (_system for what belongs to none)
  --out <path>          jsonl: a file that does not exist yet (default: standard output); tiles: the directory
  --personal            jsonl: with what people wrote and its salts, where it is not erased, as personal { member:
                        { value, salt } }. No erasure reaches such a copy (docs/retention.md)
  -h, --help            show this

Exit codes: 0 exported, 1 the directory and the log contradict each other, 2 nothing to export or rows hidden from this
login, 3 cannot read or write, 64 usage.
`;

export const auditExportCommand: Command = {
  name: 'audit export',
  summary: 'write the audit log as evidence: JSONL, or Merkle tree tiles',
  run: auditExport,
};

/** `castellan audit export`; resolves with the exit code. */
export function auditExport(argv: readonly string[], io: CommandIo): Promise<number> {
  return guarded(io, USAGE, async () => {
    const { values } = parseOptions(argv, {
      'database-url': { type: 'string' },
      chain: { type: 'string' },
      out: { type: 'string' },
      format: { type: 'string', default: 'jsonl' },
      personal: { type: 'boolean', default: false },
    });
    if (values.help === true) {
      io.stdout.write(USAGE);
      return EXIT.ok;
    }
    const { format, chain, out, personal } = values;
    if (format !== 'jsonl' && format !== 'tiles') throw new UsageError('--format is jsonl or tiles');
    if (format === 'tiles' && out === undefined) throw new UsageError('--format tiles needs --out');
    if (format === 'tiles' && personal) throw new UsageError('--personal is for jsonl');
    const databaseUrl = databaseUrlOf(values['database-url'], io.env);
    try {
      if (format === 'tiles' && out !== undefined) return await runTiles(databaseUrl, chain, out, io);
      const count = await exportLog({ databaseUrl, chain, personal }, out, io);
      io.stderr.write(`exported ${count} events\n`);
      return count > 0 ? EXIT.ok : INCOMPLETE;
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error;
      io.stderr.write(`castellan audit export: ${printable(error.message)}\n`);
      return error.code === 'HIDDEN' ? INCOMPLETE : EXIT.io;
    }
  });
}

async function runTiles(databaseUrl: string, chain: string | undefined, out: string, io: CommandIo): Promise<number> {
  try {
    const { added, events, entries } = await exportTiles(databaseUrl, chain, out);
    io.stderr.write(`exported ${added} new events, ${events} in all, ${entries} entries of the log of checkpoints\n`);
    return events > 0 ? EXIT.ok : INCOMPLETE;
  } catch (error) {
    const conflict = error instanceof TransparencyError && error.code === 'TILE_CONFLICT';
    if (error instanceof Contradiction || conflict) {
      io.stderr.write(`castellan audit export: ${printable(error.message)}\n`);
      return EXIT.failed;
    }
    if (error instanceof VerifyError || error instanceof StorageError) throw error;
    throw new VerifyError('UNREADABLE', `cannot write the export: ${messageOf(error)}`, error);
  }
}

async function exportLog(options: DatabaseSourceOptions, out: string | undefined, io: CommandIo): Promise<number> {
  const source = await openDatabaseSource(options);
  try {
    const [hidden] = source.notes ?? [];
    if (hidden !== undefined) throw new VerifyError('HIDDEN', hidden);
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
    throw new VerifyError('UNREADABLE', `cannot write the export: ${messageOf(error)}`, error);
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

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'failed';
}
