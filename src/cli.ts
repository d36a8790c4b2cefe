import { auditCheckpointCommand } from './cli/audit-checkpoint.ts';
import { auditExportCommand } from './cli/audit-export.ts';
import { auditPruneCommand } from './cli/audit-prune.ts';
import { auditStreamCommand } from './cli/audit-stream.ts';
import { auditVerifyCommand } from './cli/audit-verify.ts';
import { auditVerifyLastCommand } from './cli/audit-verify-last.ts';
import { certsCommand } from './cli/certs.ts';
import { type Command, type CommandIo, EXIT } from './cli/command.ts';
import { configCommand } from './cli/config.ts';
import { devCommand } from './cli/dev.ts';
import { migrateCommand } from './cli/migrate.ts';
import { openApiCommand } from './cli/openapi.ts';
import { policyBundleCommand, policyCheckCommand, policyTestCommand } from './cli/policy.ts';
import { secretsScanCommand } from './cli/secrets.ts';
import { serveCommand } from './cli/serve.ts';
import { signersExportCommand, signersListCommand } from './cli/signers.ts';
import { signerChangeCommands } from './cli/signers-change.ts';

const COMMANDS: readonly Command[] = [
  serveCommand,
  devCommand,
  migrateCommand,
  auditVerifyCommand,
  auditVerifyLastCommand,
  auditExportCommand,
  auditStreamCommand,
  auditCheckpointCommand,
  auditPruneCommand,
  policyCheckCommand,
  policyTestCommand,
  policyBundleCommand,
  signersListCommand,
  signersExportCommand,
  ...signerChangeCommands,
  certsCommand,
  configCommand,
  secretsScanCommand,
  openApiCommand,
];

/** Runs one subcommand and gives its exit code; what it does not know is 64 with the list of commands. */
export async function runCli(argv: readonly string[], io: CommandIo): Promise<number> {
  const command = COMMANDS.find(({ name }) => name.split(' ').every((word, index) => argv[index] === word));
  if (command !== undefined) return command.run(argv.slice(command.name.split(' ').length), io);
  // `castellan audit --help` is about every command of that first word.
  const group = COMMANDS.filter(({ name }) => name.startsWith(`${argv[0]} `));
  const asked = group.length > 0 ? argv[1] : argv[0];
  const text = usage(group.length > 0 ? group : COMMANDS);
  if (asked === '--help' || asked === '-h') {
    io.stdout.write(text);
    return EXIT.ok;
  }
  io.stderr.write(asked === undefined ? text : `castellan: no command ${argv.slice(0, 2).join(' ')}\n\n${text}`);
  return EXIT.usage;
}

function usage(commands: readonly Command[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  const lines = commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
  return `Usage: castellan <command> [options]\n\n${lines.join('\n')}\n\ncastellan <command> --help says more.\n`;
}
