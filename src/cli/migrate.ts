import { loadDatabaseUrl } from '../config.ts';
import { migrate } from '../storage/migrator.ts';
import { type Command, type CommandIo, EXIT, guarded, parseOptions } from './command.ts';

const USAGE = `Usage: castellan migrate [--json]

Creates the database roles and brings the schema up to date, with the login of CASTELLAN_DATABASE_OWNER_URL. Of several
at once one migrates and the others wait.
`;

export const migrateCommand: Command = {
  name: 'migrate',
  summary: 'create the database roles and bring the schema up to date',
  run: (argv, io) => guarded(io, USAGE, () => runMigrations(argv, io)),
};

async function runMigrations(argv: readonly string[], io: CommandIo): Promise<number> {
  const { values } = parseOptions(argv, { json: { type: 'boolean' } });
  if (values.help === true) {
    io.stdout.write(USAGE);
    return EXIT.ok;
  }
  const applied = await migrate(loadDatabaseUrl(io.env, 'CASTELLAN_DATABASE_OWNER_URL'));
  if (values.json === true) io.stdout.write(`${JSON.stringify({ applied })}\n`);
  else io.stdout.write(applied.length === 0 ? 'The schema is current.\n' : `Applied ${applied.join(', ')}.\n`);
  return EXIT.ok;
}
