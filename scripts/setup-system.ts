// `npm run setup:system`: what isolation needs beside Node, from the packages of the system. Says what it does before it does it.
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';

/** Programs by package, of Debian and its kin. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  bubblewrap: ['bwrap'],
  socat: ['socat'],
  'util-linux': ['setpriv', 'prlimit'],
};
const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

const missing = Object.entries(PACKAGES)
  .filter(([, programs]) => !programs.every(isThere))
  .map(([name]) => name);
if (missing.length === 0) {
  console.log('bubblewrap, socat and util-linux are there: nothing to install');
} else if (process.platform !== 'linux') {
  refuse('only Linux isolates; elsewhere use CASTELLAN_RUNTIME_DRIVER=kubernetes or off');
} else if (!isThere('apt-get')) {
  refuse(`install with the package manager of this system: ${missing.join(' ')}`);
} else if (process.getuid?.() !== 0) {
  refuse(`run as root: apt-get update && apt-get install -y --no-install-recommends ${missing.join(' ')}`);
} else {
  console.log(`installing ${missing.join(', ')} with apt-get`);
  run('apt-get', 'update', '-qq');
  run('apt-get', 'install', '-y', '-qq', '--no-install-recommends', ...missing);
  const still = missing.filter((name) => !(PACKAGES[name] ?? []).every(isThere));
  if (still.length > 0) refuse(`still missing: ${still.join(' ')}`);
  console.log('installed');
}

function run(command: string, ...args: string[]): void {
  const { status, error } = spawnSync(command, args, {
    stdio: 'inherit',
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
  if (status !== 0) refuse(`${command} ${args.join(' ')} has failed${error === undefined ? '' : `: ${error.message}`}`);
}

function isThere(program: string): boolean {
  return `${process.env['PATH'] ?? ''}:${SYSTEM_PATH}`.split(':').some((dir) => {
    try {
      accessSync(join(dir, program), constants.X_OK);
      return true;
    } catch {
      // Not in this directory.
      return false;
    }
  });
}

function refuse(message: string): never {
  console.error(`setup:system: ${message}`);
  process.exit(1);
}
