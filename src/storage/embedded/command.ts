import { execFile } from 'node:child_process';
import type { Account } from './account.ts';

/** Nothing of this process's environment: it may hold secrets, and locale or PG* variables would change the result. */
export const CLEAN_ENVIRONMENT = { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };

/** Runs a program to its end and returns its standard output; rejects with what it said on standard error. */
export function run(
  file: string,
  args: readonly string[],
  options: { account?: Account | undefined; cwd?: string } = {},
): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  execFile(
    file,
    args,
    { cwd: options.cwd ?? '/', env: CLEAN_ENVIRONMENT, timeout: 60_000, ...options.account },
    (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${file} failed: ${stderr.trim() || error.message}`, { cause: error }));
    },
  );
  return promise;
}
