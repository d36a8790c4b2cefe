import { SANDBOX_HOSTNAME, SANDBOX_UID } from './etc.ts';
import type { ScratchSizes } from './place.ts';

/** Descriptors of the chain. The last two are those of the first process inside, which closes them before the command. */
export const FD = { status: 3, args: 4, seccomp: 5, started: 6, relay: 7, secrets: 8 } as const;

/** Where the socket of the egress proxy is inside. */
export const EGRESS_SOCKET = '/run/egress.sock';
const SECRETS_DIR = '/run/secrets';
/** Room for the file system's own pages. */
const SECRETS_SLACK_BYTES = 65_536;
const PAGE_BYTES = 4096;

/** How this machine names its system directories: as links into /usr, or as directories of their own. */
export interface SystemDirs {
  /** Path and where it leads, such as /bin and usr/bin. */
  readonly links: readonly (readonly [path: string, target: string])[];
  readonly dirs: readonly string[];
  readonly hasAlternatives: boolean;
}

export interface ArgumentsRequest {
  readonly system: SystemDirs;
  readonly etcDir: string;
  readonly toolchains: readonly string[];
  readonly workspaceDir: string;
  readonly scratch: ScratchSizes;
  readonly env: Readonly<Record<string, string>>;
  /** Host path. */
  readonly egressSocket?: string | undefined;
  /** Bytes by name; their contents come by the descriptors from FD.secrets on, in this order. */
  readonly secrets?: ReadonlyMap<string, Buffer> | undefined;
}

/** bwrap's arguments, without the command: they go by a descriptor, for they hold paths of this machine and the environment. */
export function bwrapArguments(request: ArgumentsRequest): string[] {
  const { system, toolchains, scratch } = request;
  return [
    ['--unshare-user', '--unshare-pid', '--unshare-net', '--unshare-ipc', '--unshare-uts', '--unshare-cgroup-try'],
    ['--disable-userns'],
    ['--uid', `${SANDBOX_UID}`, '--gid', `${SANDBOX_UID}`, '--hostname', SANDBOX_HOSTNAME],
    ['--cap-drop', 'ALL', '--new-session', '--die-with-parent', '--as-pid-1'],
    ['--json-status-fd', `${FD.status}`, '--seccomp', `${FD.seccomp}`],

    ['--ro-bind', '/usr', '/usr'],
    ...system.links.map(([path, target]) => ['--symlink', target, path]),
    ...system.dirs.map((path) => ['--ro-bind', path, path]),
    ['--ro-bind', request.etcDir, '/etc'],
    system.hasAlternatives ? ['--ro-bind', '/etc/alternatives', '/etc/alternatives'] : [],
    ...toolchains.map((path) => ['--ro-bind', path, path]),

    ['--proc', '/proc'],
    // Of --dev only /dev/shm stays writable, and that has a size.
    ['--dev', '/dev', ...tmpfs(scratch.shm, '1777', '/dev/shm'), '--remount-ro', '/dev'],
    tmpfs(scratch.tmp, '1777', '/tmp'),
    tmpfs(scratch.run, '0755', '/run'),
    secrets(request.secrets),
    request.egressSocket === undefined ? [] : ['--ro-bind', request.egressSocket, EGRESS_SOCKET],
    ['--bind', request.workspaceDir, '/workspace', '--chdir', '/workspace'],
    ['--remount-ro', '/'],

    ['--clearenv'],
    ...Object.entries(request.env).map(([name, value]) => ['--setenv', name, value]),
  ].flat();
}

/** As --args takes them. Throws for a NUL in one, which would make two of it, the second an option of its own. */
export function encodeArguments(args: readonly string[]): Buffer {
  if (args.some((argument) => argument.includes('\0'))) throw new TypeError('an argument of bwrap contains a NUL');
  return Buffer.from(args.map((argument) => `${argument}\0`).join(''));
}

function tmpfs(bytes: number, mode: string, path: string): string[] {
  return ['--perms', mode, '--size', `${bytes}`, '--tmpfs', path];
}

/** A file system of their own in memory: never on a disk, never in an environment, and gone with the replica. */
function secrets(contents: ReadonlyMap<string, Buffer> | undefined): string[] {
  if (contents === undefined || contents.size === 0) return [];
  const bytes = [...contents.values()].reduce((sum, value) => sum + value.length + PAGE_BYTES, SECRETS_SLACK_BYTES);
  const files = [...contents.keys()].flatMap((name, index) => {
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name))
      throw new TypeError('a secret has a name that is no name of a file');
    return ['--perms', '0400', '--file', `${FD.secrets + index}`, `${SECRETS_DIR}/${name}`];
  });
  return [...tmpfs(bytes, '0500', SECRETS_DIR), ...files, '--remount-ro', SECRETS_DIR];
}
