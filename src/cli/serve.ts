import { loadServiceConfig } from '../config.ts';
import { createLogger } from '../logger.ts';
import { startService } from '../service.ts';
import { type Command, type CommandIo, EXIT, guarded, parseOptions } from './command.ts';
import { stopSignal } from './signals.ts';

const USAGE = `Usage: castellan serve

Runs the service with the settings of the environment (see .env.example). Production rules apply unless NODE_ENV is
development or test. Bad settings: exit 78 with every problem, before anything listens.
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
  const config = loadServiceConfig(io.env, process.execArgv);
  const logger = createLogger(config.logLevel);
  const stopped = stopSignal(logger);
  const service = await startService(config, { logger, checkLogins: true });
  await stopped.signal;
  service.drain();
  await service.close();
  return EXIT.ok;
}
