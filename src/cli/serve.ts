import { closeInheritedDescriptors } from '../boot/descriptors.ts';
import type { Environment } from '../config/read.ts';
import {
  ConfigError,
  type DatabaseSetting,
  loadDatabaseUrl,
  loadServiceConfig,
  runEnvironment,
  type ServiceConfig,
} from '../config.ts';
import { createLogger } from '../logger.ts';
import { startService } from '../service.ts';
import type { ServiceRole } from '../storage/connection.ts';
import { checkLogin } from '../storage/login-check.ts';
import { type Command, type CommandIo, EXIT, guarded, parseOptions } from './command.ts';
import { stopSignal } from './signals.ts';

const USAGE = `Usage: castellan serve

Runs the service with the settings of the environment (see .env.example). Production rules apply unless NODE_ENV is
development or test. Bad settings: exit 78 with every problem, before anything listens.

Listens for the API (CASTELLAN_API_PORT), for probes and metrics (CASTELLAN_OPS_PORT) and, only where CASTELLAN_HUMAN_PORT is
set, for people who have a token and no certificate.
`;

export const serveCommand: Command = {
  name: 'serve',
  summary: 'run the service',
  run: (argv, io) => guarded(io, USAGE, () => serve(argv, io), EXIT.failed),
};

async function serve(argv: readonly string[], io: CommandIo): Promise<number> {
  if (parseOptions(argv, {}).values.help === true) {
    io.stdout.write(USAGE);
    return EXIT.ok;
  }
  const config = await validConfig(io.env);
  closeInheritedDescriptors();
  const logger = createLogger(config.logLevel);
  const stopped = stopSignal(logger);
  const service = await startService(config, { logger, checkLogins: true });
  await stopped.signal;
  service.drain();
  await service.close();
  return EXIT.ok;
}

/** The settings, or a ConfigError with every problem: where production refuses them, with those of the logins as well. */
async function validConfig(env: Environment): Promise<ServiceConfig> {
  try {
    return loadServiceConfig(env, process.execArgv);
  } catch (error) {
    if (!(error instanceof ConfigError) || runEnvironment(env, 'production') !== 'production') throw error;
    const logins = [
      ...(await loginProblems(env, 'DATABASE_URL', 'castellan_app')),
      ...(await loginProblems(env, 'CASTELLAN_DATABASE_SYSTEM_URL', 'castellan_system')),
    ];
    throw new ConfigError([...error.problems, ...logins]);
  }
}

async function loginProblems(env: Environment, name: DatabaseSetting, role: ServiceRole): Promise<string[]> {
  try {
    return await checkLogin(loadDatabaseUrl(env, name), role);
  } catch {
    // Unset or unreachable: the first is listed already, the second says nothing about the settings.
    return [];
  }
}
