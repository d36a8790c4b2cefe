import { lstat, readlink } from 'node:fs/promises';
import { join } from 'node:path';

import type { SystemDirs } from './arguments.ts';
import { writeEtc } from './etc.ts';
import { createFifos, type Fifos } from './fifos.ts';
import { type Guard, startGuard } from './guard.ts';
import { seccompProgram } from './seccomp.ts';
import { makeDir } from './state-dir.ts';
import type { SandboxArch } from './syscalls.ts';
import type { Tools } from './tools.ts';

/** System directories beside /usr, on most machines links into it. */
const BESIDE_USR = ['/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32'];

/** What all chains of this service share. */
export interface ChainHost {
  readonly tools: Tools;
  readonly toolchains: readonly string[];
  readonly system: SystemDirs;
  readonly etcDir: string;
  readonly fifos: Fifos;
  readonly seccomp: Buffer;
  readonly guard: Guard;
  /** When no chain is left. */
  close(): Promise<void>;
}

/**
 * Writes what chains share below `dir`, a new directory of the service's own that everybody may pass through, nobody list.
 * Throws where no seccomp program is known for this machine.
 */
export async function createChainHost(
  tools: Tools,
  options: { readonly dir: string; readonly toolchains: readonly string[] },
): Promise<ChainHost> {
  const seccomp = seccompProgram(sandboxArch(process.arch));
  const etcDir = join(options.dir, 'etc');
  const fifoDir = join(options.dir, 'fifos');
  await makeDir(etcDir, 0o755);
  await makeDir(fifoDir, 0o700);
  await writeEtc(etcDir);
  const system = await systemDirs();
  const guard = startGuard(tools.sh);
  return {
    tools,
    toolchains: options.toolchains,
    system,
    etcDir,
    fifos: createFifos(tools.mkfifo, fifoDir),
    seccomp,
    guard,
    close: () => guard.close(),
  };
}

function sandboxArch(arch: string): SandboxArch {
  if (arch === 'x64' || arch === 'arm64') return arch;
  throw new TypeError(`no seccomp program for the architecture ${arch}`);
}

async function systemDirs(): Promise<SystemDirs> {
  const links: [string, string][] = [];
  const dirs: string[] = [];
  for (const path of BESIDE_USR) {
    const found = await lstat(path).catch(absent);
    if (found?.isSymbolicLink()) links.push([path, await readlink(path)]);
    else if (found?.isDirectory()) dirs.push(path);
  }
  const alternatives = await lstat('/etc/alternatives').catch(absent);
  return { links, dirs, hasAlternatives: alternatives?.isDirectory() ?? false };
}

function absent(error: unknown): undefined {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
  throw error;
}
