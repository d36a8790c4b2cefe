import { readRegistryExport, readRegistryOfDatabase } from '../signers/registry-file.ts';
import { type Command, type CommandIo, EXIT, guarded, parseOptions } from './command.ts';
import { databaseUrlOf } from './database-url.ts';

const DATABASE = `  --database-url <url>  default: DATABASE_URL or DATABASE_URL_FILE; any login that may read the registry
`;

const LIST = `Usage: castellan signers list [--database-url <url>] [--json]

Lists the signer registry. --json prints { "signers": [ … ] }, the form \`audit verify --signers\` reads.

${DATABASE}`;

const EXPORT = `Usage: castellan signers export [--database-url <url>]

Prints the registry as a signers.json to be kept elsewhere: { signers, version, digest, event }, where event is the newest
signed event of chain _system about the registry. It names that version and digest, and so vouches for the file.

${DATABASE}
Exit codes: 0 printed, 1 the registry is not the one that the event names (\`castellan audit verify\`), 3 cannot read, 64 usage.
`;

export const signersListCommand: Command = {
  name: 'signers list',
  summary: 'list the signer registry',
  run: (argv, io) => guarded(io, LIST, () => listSigners(argv, io)),
};

export const signersExportCommand: Command = {
  name: 'signers export',
  summary: 'print the signer registry as a file, with what vouches for it',
  run: (argv, io) => guarded(io, EXPORT, () => exportSigners(argv, io)),
};

async function listSigners(argv: readonly string[], io: CommandIo): Promise<number> {
  const { values } = parseOptions(argv, { 'database-url': { type: 'string' }, json: { type: 'boolean' } });
  if (values.help === true) {
    io.stdout.write(LIST);
    return EXIT.ok;
  }
  const signers = await readRegistryOfDatabase(databaseUrlOf(values['database-url'], io.env));
  if (values.json === true) io.stdout.write(`${JSON.stringify({ signers })}\n`);
  else
    for (const { signerId, alg, purpose, state } of signers) {
      io.stdout.write(`${signerId}  ${alg}  ${purpose}  ${state}\n`);
    }
  return EXIT.ok;
}

async function exportSigners(argv: readonly string[], io: CommandIo): Promise<number> {
  const { values } = parseOptions(argv, { 'database-url': { type: 'string' }, json: { type: 'boolean' } });
  if (values.help === true) {
    io.stdout.write(EXPORT);
    return EXIT.ok;
  }
  const { file, fits } = await readRegistryExport(databaseUrlOf(values['database-url'], io.env));
  if (!fits) {
    io.stderr.write('castellan: the registry is not the one that the newest event about it names: verify the log\n');
    return EXIT.failed;
  }
  io.stdout.write(`${JSON.stringify(file, null, values.json === true ? 0 : 2)}\n`);
  return EXIT.ok;
}
