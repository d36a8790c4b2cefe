import { ConfigError, loadDatabaseUrl } from '../config.ts';
import { type CommandIo, UsageError } from './command.ts';

/** The option's database, else DATABASE_URL or DATABASE_URL_FILE; a UsageError when there is none to be had. */
export function databaseUrlOf(option: string | undefined, env: CommandIo['env']): string {
  if (option !== undefined) {
    if (!URL.canParse(option)) throw new UsageError('--database-url is not a URL');
    return option;
  }
  try {
    return loadDatabaseUrl(env, 'DATABASE_URL');
  } catch (error) {
    if (error instanceof ConfigError) throw new UsageError(`no database: give --database-url\n${error.message}`);
    throw error;
  }
}
