import { availableParallelism } from 'node:os';
import type { Writable } from 'node:stream';

import { VerifyError } from '../audit/verify/errors.ts';
import { printable, toJson, toText, type VerifyReport } from '../audit/verify/report.ts';
import type { VerificationRequest } from '../audit/verify/verification.ts';
import { verifyInThread } from '../audit/verify/verification-thread.ts';
import { type Command, type CommandIo, EXIT, guarded, parseOptions, UsageError } from './command.ts';
import { databaseUrlOf } from './database-url.ts';
import { startProgress } from './progress.ts';

/** The verdict's exit codes; IO and usage are those of every subcommand. */
const VERDICT_EXIT = { ok: 0, tampered: 1, incomplete: 2 } as const;
/** More threads than this leave the one that reads behind. */
const MAX_WORKERS = 8;
const CHAIN = /^(?:_system|[a-z0-9][a-z0-9-]{0,62})$/;

const USAGE = `Usage: castellan audit verify [--database-url <url> | --export <file.jsonl> --signers <signers.json>] [options]

Verifies every event of the audit log: bodies, hashes, signatures, the chain, the head rows. It shares no code with what
wrote the log, and changes nothing.

  --database-url <url>  read the database (default: DATABASE_URL or DATABASE_URL_FILE); any login that sees all rows
  --export <file>       read a JSONL export instead; it has no head rows, so a cut tail cannot be seen in it
  --signers <file>      take the signers from this file, not from the database (needed with --export)
  --chain <name>        only this workspace's chain (_system for what belongs to none)
  --from <n>            start at seq n; the prevHash of that event is then taken on trust
  --json                print { ok, strength, events, signatures, findings: [{ chain, seq, class, detail }] }
  -h, --help            show this

Exit codes: 0 ok, 1 tampered, 2 incomplete or unverifiable (also: nothing to verify), 3 cannot read, 64 usage.
`;

interface Request extends VerificationRequest {
  readonly json: boolean;
}

export const auditVerifyCommand: Command = {
  name: 'audit verify',
  summary: 'verify the audit log, or an export of it',
  run: auditVerify,
};

/** `castellan audit verify`; resolves with the exit code. */
export function auditVerify(argv: readonly string[], io: CommandIo): Promise<number> {
  return guarded(io, USAGE, async () => {
    const request = parseRequest(argv, io);
    if (request === 'help') {
      io.stdout.write(USAGE);
      return EXIT.ok;
    }
    try {
      return await run(request, io);
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error;
      io.stderr.write(`castellan audit verify: ${printable(error.message)}\n`);
      return error.code === 'HIDDEN' ? VERDICT_EXIT.incomplete : EXIT.io;
    }
  });
}

function parseRequest(argv: readonly string[], io: CommandIo): Request | 'help' {
  const { values } = parseOptions(argv, {
    'database-url': { type: 'string' },
    export: { type: 'string' },
    signers: { type: 'string' },
    chain: { type: 'string' },
    from: { type: 'string' },
    json: { type: 'boolean' },
  });
  if (values.help === true) return 'help';
  const { export: exportPath, signers: signersPath, chain } = values;
  if (chain !== undefined && !CHAIN.test(chain)) throw new UsageError('--chain is no workspace id');
  if (exportPath !== undefined && values['database-url'] !== undefined) {
    throw new UsageError('--export and --database-url exclude each other');
  }
  // Never the environment's database here: an export is verified without a network.
  if (exportPath !== undefined && signersPath === undefined) throw new UsageError('--export needs --signers');
  return {
    databaseUrl: exportPath === undefined ? databaseUrlOf(values['database-url'], io.env) : undefined,
    exportPath,
    signersPath,
    chain,
    from: values.from === undefined ? 1 : positive(values.from),
    workers: Math.min(availableParallelism(), MAX_WORKERS),
    json: values.json === true,
  };
}

function positive(text: string): number {
  const value = /^[1-9]\d{0,15}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw new UsageError('--from is not a positive whole number');
  return value;
}

async function run({ json, ...request }: Request, io: CommandIo): Promise<number> {
  const started = performance.now();
  const progress = startProgress(io.stderr, () => performance.now());
  let report: VerifyReport;
  try {
    report = await verifyInThread(request, progress.update);
  } finally {
    progress.end();
  }
  await print(report, (performance.now() - started) / 1000, json, io);
  return VERDICT_EXIT[report.verdict];
}

async function print(report: VerifyReport, seconds: number, json: boolean, io: CommandIo): Promise<void> {
  for (const note of report.notes) io.stderr.write(`note: ${printable(note)}\n`);
  const lines = json ? [toJson(report)] : toText(report, seconds);
  await written(io.stdout, `${lines.join('\n')}\n`);
}

/** Resolves when the text is out: the process may end right after. */
function written(stream: Writable, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(text, (error) => (error === null || error === undefined ? resolve() : reject(error)));
  });
}
