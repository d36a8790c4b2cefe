import type { Writable } from 'node:stream';

import { VerifyError } from '../audit/verify/errors.ts';
import { printable, toJson, toText, type VerifyReport } from '../audit/verify/report.ts';
import { verifyInThread } from '../audit/verify/verification-thread.ts';
import { parseVerifyRequest, type VerifyRequest } from './audit-verify-request.ts';
import { type Command, type CommandIo, EXIT, guarded } from './command.ts';
import { startProgress } from './progress.ts';

/** The verdict's exit codes; IO and usage are those of every subcommand. */
const VERDICT_EXIT = { ok: 0, tampered: 1, incomplete: 2 } as const;

const USAGE = `Usage: castellan audit verify [--database-url <url> | --export <file.jsonl> --signers <signers.json> | --tiles <dir>] [options]

Verifies every event of the audit log: bodies, hashes, signatures, the chain, the head rows, the log of checkpoints. It
shares no code with what wrote the log, and changes nothing.

  --database-url <url>    read the database (default: DATABASE_URL or DATABASE_URL_FILE); any login that sees all rows
  --export <file>         read a JSONL export instead; it has no head rows, so a cut tail is seen with --checkpoint (and --log) only
  --tiles <dir>           read a directory of tiles instead (castellan audit export --format tiles)
  --signers <file>        take the signers from this file, not from the database or directory (needed with --export)
  --checkpoint <file>     compare with this note, kept elsewhere; may be repeated. What it covers is then anchored
  --checkpoint-key <key>  accept it only by this key (name+hash+key); may be repeated (default: the registry's signers)
  --witness-key <key>     a witness whose cosignature on it counts (name+hash+key); may be repeated
  --log <dir>             take the log of checkpoints from this directory of tiles, not from the source
  --state <file>          go on from where the verification that wrote this file ended, and write it anew
  --chain <name>          only this workspace's chain (_system for what belongs to none)
  --from <n>              start at seq n; the prevHash of that event is then taken on trust
  --json                  print { ok, strength, events, signatures, findings: [{ chain, seq, class, detail }] }; notes are on stderr
  -h, --help              show this

Strength: internal, nothing from outside was compared; anchored, a checkpoint from outside was; witnessed, it was cosigned.
Exit codes: 0 ok, 1 tampered, 2 incomplete or unverifiable (also: nothing to verify; a checkpoint or a state that does not
fit), 3 cannot read, 64 usage.
`;

export const auditVerifyCommand: Command = {
  name: 'audit verify',
  summary: 'verify the audit log, or an export of it',
  run: auditVerify,
};

/** `castellan audit verify`; resolves with the exit code. */
export function auditVerify(argv: readonly string[], io: CommandIo): Promise<number> {
  return guarded(io, USAGE, async () => {
    const request = parseVerifyRequest(argv, io.env);
    if (request === 'help') {
      io.stdout.write(USAGE);
      return EXIT.ok;
    }
    try {
      return await run(request, io);
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error;
      io.stderr.write(`castellan audit verify: ${printable(error.message)}\n`);
      return error.code === 'UNREADABLE' ? EXIT.io : VERDICT_EXIT.incomplete;
    }
  });
}

async function run({ json, ...request }: VerifyRequest, io: CommandIo): Promise<number> {
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
