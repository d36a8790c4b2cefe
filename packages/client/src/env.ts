import type { ClientOptions } from './options.ts';

/**
 * `serverUrls` and `token` from EXTERNAL_ORCHESTRATOR_URL (several with commas between) and EXTERNAL_ORCHESTRATOR_API_KEY.
 * The client itself never looks at the environment, and no variable turns verification off.
 */
export function optionsFromEnv(
  env: Readonly<Record<string, string | undefined>>,
): Partial<Pick<ClientOptions, 'serverUrls' | 'token'>> {
  const urls = (env['EXTERNAL_ORCHESTRATOR_URL'] ?? '').split(',').map((url) => url.trim());
  const serverUrls = urls.filter((url) => url !== '');
  const token = env['EXTERNAL_ORCHESTRATOR_API_KEY']?.trim() ?? '';
  return { ...(serverUrls.length === 0 ? {} : { serverUrls }), ...(token === '' ? {} : { token }) };
}
