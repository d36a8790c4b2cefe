import { SETTINGS, type Setting } from '../config/settings.ts';
import { ConfigError, loadDevConfig, loadServiceConfig } from '../config.ts';
import { type Command, type CommandIo, EXIT, guarded, parseOptions, UsageError } from './command.ts';

const USAGE = `Usage: castellan config [--check] [--for serve|dev] [--json]

Shows the effective settings, secrets masked. --check only validates them: exit 0, or 78 with every problem.
`;

export const configCommand: Command = {
  name: 'config',
  summary: 'show or check the effective settings, secrets masked',
  run: (argv, io) => guarded(io, USAGE, async () => showConfig(argv, io)),
};

function showConfig(argv: readonly string[], io: CommandIo): number {
  const { values } = parseOptions(argv, {
    check: { type: 'boolean' },
    for: { type: 'string', default: 'serve' },
    json: { type: 'boolean' },
  });
  if (values.help === true) {
    io.stdout.write(USAGE);
    return EXIT.ok;
  }
  if (values.for !== 'serve' && values.for !== 'dev') throw new UsageError('--for takes serve or dev');
  const problems = problemsOf(values.for, io);
  if (values.check !== true) showSettings(io, values.json === true);
  else if (values.json === true) io.stdout.write(`${JSON.stringify({ ok: problems.length === 0, problems })}\n`);
  for (const problem of problems) io.stderr.write(`${problem}\n`);
  return problems.length === 0 ? EXIT.ok : EXIT.config;
}

function problemsOf(command: 'serve' | 'dev', io: CommandIo): readonly string[] {
  try {
    if (command === 'serve') loadServiceConfig(io.env, process.execArgv);
    else loadDevConfig(io.env);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

function showSettings(io: CommandIo, json: boolean): void {
  const effective = Object.entries(SETTINGS).map(([name, setting]: [string, Setting]) => {
    const value = io.env[name] ?? (setting.secret === true ? io.env[`${name}_FILE`] : undefined);
    const shown = value !== undefined && setting.secret === true ? '********' : (value ?? setting.default ?? null);
    return [name, shown] as const;
  });
  if (json) io.stdout.write(`${JSON.stringify(Object.fromEntries(effective))}\n`);
  else for (const [name, value] of effective) io.stdout.write(`${name}=${value ?? '(unset)'}\n`);
}
