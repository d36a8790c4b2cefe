import { writeFile } from 'node:fs/promises';

import { describeApi } from '../describe-api.ts';
import { type Command, type CommandIo, EXIT, guarded, parseOptions } from './command.ts';

const USAGE = `Usage: castellan openapi [--write <file>]

Prints the OpenAPI 3.1 description of the API as YAML, or writes it to a file. Needs no database.
`;

export const openApiCommand: Command = {
  name: 'openapi',
  summary: 'print the OpenAPI description',
  run: (argv, io) => guarded(io, USAGE, () => printDescription(argv, io)),
};

async function printDescription(argv: readonly string[], io: CommandIo): Promise<number> {
  const { values } = parseOptions(argv, { write: { type: 'string' } });
  if (values.help === true) {
    io.stdout.write(USAGE);
    return EXIT.ok;
  }
  const yaml = await describeApi();
  if (values.write === undefined) io.stdout.write(yaml);
  else await writeFile(values.write, yaml);
  return EXIT.ok;
}
