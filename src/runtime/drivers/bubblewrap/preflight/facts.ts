import { execFile } from 'node:child_process';
import { access, readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

import { codeOf } from '../cgroups/files.ts';

const run = promisify(execFile);

/** What the machine says of itself, from which the cause of a failure is told. Undefined: it does not say. */
export interface MachineFacts {
  readonly uid: number;
  /** What `bwrap --version` answers. */
  readonly bwrapVersion: string;
  /** kernel.unprivileged_userns_clone, a switch of Debian and its kin. */
  readonly unprivilegedUserns: string | undefined;
  /** user.max_user_namespaces */
  readonly maxUserNamespaces: string | undefined;
  /** kernel.apparmor_restrict_unprivileged_userns, a switch of Ubuntu. */
  readonly apparmorRestricts: string | undefined;
  /** Effective capabilities of this process, a bit each. */
  readonly capabilities: bigint;
  /** Seccomp of this process: 2 is a filter, such as that of a container. */
  readonly seccomp: string | undefined;
  readonly inContainer: boolean;
}

export async function readFacts(bwrap: string): Promise<MachineFacts> {
  const [version, unprivilegedUserns, maxUserNamespaces, apparmorRestricts, status, docker, podman, pod] =
    await Promise.all([
      run(bwrap, ['--version'], { env: {}, cwd: '/', timeout: 5000 }).then(
        ({ stdout }) => stdout.trim(),
        (error: unknown) => (error instanceof Error ? error.message.split('\n')[0] : undefined) ?? '',
      ),
      firstLine('/proc/sys/kernel/unprivileged_userns_clone'),
      firstLine('/proc/sys/user/max_user_namespaces'),
      firstLine('/proc/sys/kernel/apparmor_restrict_unprivileged_userns'),
      readFile('/proc/self/status', 'utf8'),
      isThere('/.dockerenv'),
      isThere('/run/.containerenv'),
      isThere('/var/run/secrets/kubernetes.io'),
    ]);
  return {
    uid: process.getuid?.() ?? -1,
    bwrapVersion: version,
    unprivilegedUserns,
    maxUserNamespaces,
    apparmorRestricts,
    capabilities: BigInt(`0x${/^CapEff:\s+([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`),
    seccomp: /^Seccomp:\s+(\d)$/m.exec(status)?.[1],
    inContainer: docker || podman || pod,
  };
}

async function firstLine(path: string): Promise<string | undefined> {
  try {
    return (await readFile(path, 'utf8')).split('\n')[0];
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'EACCES') return undefined;
    throw error;
  }
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
