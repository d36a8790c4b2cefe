import { execFile, spawn } from 'node:child_process';
import { chmod, chown, cp, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { type Account, canEnter } from '../../../src/storage/embedded/account.ts';
import type { Tap } from '../../support/postgres.ts';
import { type Env, type Running, running } from '../../support/process.ts';

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
export const run = promisify(execFile);

/** The user of the image, when this process is root and that user can reach the checkout; else our own account. */
export async function serviceAccount(): Promise<Account | undefined> {
  const account = { uid: 10_001, gid: 10_001 };
  return process.getuid?.() === 0 && (await canEnter(ROOT, account)) ? account : undefined;
}

/** What the image has in /app, in `dir`. Nobody may write there. */
export async function buildApp(dir: string): Promise<void> {
  // By `env -i`, here and below: what tap adds to the environment of every child changes how it loads its modules.
  await run('env', ['-i', process.execPath, join(ROOT, 'scripts/build-dist.ts'), join(dir, 'dist')]);
  await symlink(join(ROOT, 'node_modules'), join(dir, 'node_modules'));
  await cp(join(ROOT, 'deploy/docker/healthcheck.mjs'), join(dir, 'healthcheck.mjs'));
  await run('chmod', ['-R', 'a-w', join(dir, 'dist')]);
}

/**
 * Files as the kubelet mounts a secret with mode 0400: each a link to ..data, a link to the directory with the files,
 * which root gives to the group of the pod.
 */
export async function mountSecret(dir: string, files: Record<string, string>, pod: Account | undefined): Promise<void> {
  const version = '..2026_11_21_12_00_00.0';
  await mkdir(join(dir, version), { recursive: true });
  await symlink(version, join(dir, '..data'));
  for (const [name, text] of Object.entries(files)) {
    const file = join(dir, version, name);
    await writeFile(file, text);
    if (pod !== undefined) await chown(file, 0, pod.gid);
    await chmod(file, pod === undefined ? 0o400 : 0o440);
    await symlink(join('..data', name), join(dir, name));
  }
}

/** `node <args>` in `cwd` with `env` and nothing else, as that account. */
export function contained(
  t: Tap,
  options: { cwd: string; args: readonly string[]; env: Env; account: Account | undefined },
): Running {
  const { cwd, args, env, account } = options;
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const child = spawn('env', ['-i', ...variables, process.execPath, ...args], {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(account ?? {}),
  });
  return running(t, child);
}
