import type { Tap } from '../postgres.ts';
import type { Credentials } from './sig-v4.ts';

/** Puts the credentials where the SDK's default chain looks first, and takes away what a developer's machine has there; undefined: none. */
export function useCredentials(t: Tap, credentials: Credentials | undefined): void {
  const wanted: Record<string, string | undefined> = {
    AWS_ACCESS_KEY_ID: credentials?.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials?.secretAccessKey,
    AWS_SESSION_TOKEN: credentials?.sessionToken,
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    AWS_PROFILE: undefined,
    AWS_EC2_METADATA_DISABLED: 'true',
  };
  const before = Object.keys(wanted).map((name) => [name, process.env[name]] as const);
  const set = (name: string, value: string | undefined) => {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  };
  for (const [name, value] of Object.entries(wanted)) set(name, value);
  t.teardown(() => {
    for (const [name, value] of before) set(name, value);
  });
}
