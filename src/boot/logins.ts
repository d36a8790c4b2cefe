import { ConfigError, type ServiceConfig } from '../config.ts';
import type { Logger } from '../logger.ts';
import { checkLogin } from '../storage/login-check.ts';

/** Production demands restricted logins; elsewhere what is wrong with them is said. */
export async function requireSafeLogins(config: ServiceConfig, logger: Logger): Promise<void> {
  const { appUrl, systemUrl } = config.database;
  const problems = [
    ...(await checkLogin(appUrl, 'castellan_app')),
    ...(await checkLogin(systemUrl, 'castellan_system')),
  ];
  if (problems.length === 0) return;
  if (config.environment === 'production') throw new ConfigError(problems);
  for (const problem of problems) logger.warn({ problem }, 'not fit for production');
}
