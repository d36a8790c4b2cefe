import { auditExportCommand } from './cli/audit-export.ts';
import { auditVerifyCommand } from './cli/audit-verify.ts';
import { certsCommand } from './cli/certs.ts';
import { type Command, type CommandIo, EXIT } from './cli/command.ts';
import { configCommand } from './cli/config.ts';
import { devCommand } from './cli/dev.ts';
import { migrateCommand } from './cli/migrate.ts';
import { openApiCommand } from './cli/openapi.ts';
import { policyBundleCommand, policyCheckCommand, policyTestCommand } from './cli/policy.ts';
import { serveCommand } from './cli/serve.ts';
import { signersListCommand } from './cli/signers.ts';

const COMMANDS: readonly Command[] = [
  serveCommand,
  devCommand,
  migrateCommand,
  auditVerifyCommand,
  auditExportCommand,
  policyCheckCommand,
  policyTestCommand,
  policyBundleCommand,
  signersListCommand,
  certsCommand,
  configCommand,
  openApiCommand,
];

/** Runs one subcommand and gives its exit code; what it does not know is 64 with the list of commands. */
export async function runCli(argv: readonly string[], io: CommandIo): Promise<number> {
  const command = COMMANDS.find(({ name }) => name.split(' ').every((word, index) => argv[index] === word));
  if (command !== undefined) return command.run(argv.slice(command.name.split(' ').length), io);
  if (argv[0] === '--help' || argv[0] === '-h') {
    io.stdout.write(usage());
    return EXIT.ok;
  }
  io.stderr.write(
    argv[0] === undefined ? usage() : `castellan: no command ${argv.slice(0, 2).join(' ')}\n\n${usage()}`,
  );
  return EXIT.usage;
}

function usage(): string {
  const width = Math.max(...COMMANDS.map(({ name }) => name.length));
  const lines = COMMANDS.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
  return `Usage: castellan <command> [options]\n\n${lines.join('\n')}\n\ncastellan <command> --help says more.\n`;
}
