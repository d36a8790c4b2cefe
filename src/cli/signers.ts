import { readRegistryOfDatabase } from '../signers/registry-file.ts';
import { type Command, type CommandIo, EXIT, guarded, parseOptions } from './command.ts';
import { databaseUrlOf } from './database-url.ts';

const USAGE = `Usage: castellan signers list [--database-url <url>] [--json]

Lists the signer registry. --json prints { "signers": [ … ] }, the form \`audit verify --signers\` reads.

  --database-url <url>  default: DATABASE_URL or DATABASE_URL_FILE; any login that may read the registry
`;

export const signersListCommand: Command = {
  name: 'signers list',
  summary: 'list the signer registry',
  run: (argv, io) => guarded(io, USAGE, () => listSigners(argv, io)),
};

async function listSigners(argv: readonly string[], io: CommandIo): Promise<number> {
  const { values } = parseOptions(argv, { 'database-url': { type: 'string' }, json: { type: 'boolean' } });
  if (values.help === true) {
    io.stdout.write(USAGE);
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
