import { join } from 'node:path';

import { SETTINGS, type Setting } from '../../src/config/settings.ts';

/** Every rate limit as far up as it goes: what is measured is what the service can do, not what it lets through. */
export function withoutLimits(): Readonly<Record<string, string>> {
  const limits = Object.entries<Setting>(SETTINGS).filter(
    ([name, { kind }]) => name.startsWith('CASTELLAN_LIMITS_') && kind === 'integer',
  );
  return Object.fromEntries(limits.map(([name, { max }]) => [name, String(max)]));
}

/** What `serve` must be told besides its keys. */
export function serveSettings(
  database: Readonly<Record<string, string>>,
  certsDir: string,
): Readonly<Record<string, string>> {
  const { CASTELLAN_DATABASE_OWNER_URL: _owner, ...logins } = database;
  return {
    NODE_ENV: 'development',
    ...logins,
    CASTELLAN_API_PORT: '0',
    CASTELLAN_OPS_PORT: '0',
    CASTELLAN_API_TLS_CERT_FILE: join(certsDir, 'server.crt'),
    CASTELLAN_API_TLS_KEY_FILE: join(certsDir, 'server.key'),
    CASTELLAN_API_TLS_CLIENT_CA_FILE: join(certsDir, 'ca.crt'),
    CASTELLAN_IDENTITY_MAP_FILE: join(certsDir, 'identity-map.json'),
    ...withoutLimits(),
  };
}
