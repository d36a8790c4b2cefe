import { newestNoteOfDatabase } from '../checkpoints/newest-note.ts';
import { type Command, type CommandIo, EXIT, guarded, parseOptions } from './command.ts';
import { databaseUrlOf } from './database-url.ts';

/** There is none yet; as `audit verify` says it of a log without events. */
const NOTHING = 2;

const USAGE = `Usage: castellan audit checkpoint [--database-url <url>] [--json]

Prints the newest signed checkpoint, byte for byte: kept elsewhere, it is what \`audit verify --checkpoint\` compares with.
--json prints { origin, size, root, signerId, createdAt, note }. The signature is not verified here.

  --database-url <url>  default: DATABASE_URL or DATABASE_URL_FILE; any login that may read the signer registry

Exit codes: 0 printed, 2 there is none yet, 3 cannot read, 64 usage.
`;

export const auditCheckpointCommand: Command = {
  name: 'audit checkpoint',
  summary: 'print the newest signed checkpoint',
  run: (argv, io) => guarded(io, USAGE, () => printNewest(argv, io)),
};

async function printNewest(argv: readonly string[], io: CommandIo): Promise<number> {
  const { values } = parseOptions(argv, { 'database-url': { type: 'string' }, json: { type: 'boolean' } });
  if (values.help === true) {
    io.stdout.write(USAGE);
    return EXIT.ok;
  }
  const newest = await newestNoteOfDatabase(databaseUrlOf(values['database-url'], io.env));
  if (newest === undefined) {
    io.stderr.write('castellan: there is no checkpoint yet\n');
    return NOTHING;
  }
  io.stdout.write(values.json === true ? `${JSON.stringify(newest)}\n` : newest.note);
  return EXIT.ok;
}
