import { constants } from 'node:fs';
import { access, realpath } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';

import { IsolationUnavailable } from '../../errors.ts';

/** Programs that isolation is made of, as absolute paths: what PATH says later changes nothing. */
export interface Tools {
  readonly bwrap: string;
  readonly socat: string;
  readonly setpriv: string;
  readonly prlimit: string;
  readonly sh: string;
  readonly mkfifo: string;
  readonly mount: string;
  readonly umount: string;
  readonly rm: string;
  readonly chmod: string;
}

/** By package of Debian and its kin; other distributions name them alike. */
const PACKAGES: Readonly<Record<keyof Tools, string>> = {
  bwrap: 'bubblewrap',
  socat: 'socat',
  setpriv: 'util-linux',
  prlimit: 'util-linux',
  mount: 'mount',
  umount: 'mount',
  sh: 'dash',
  mkfifo: 'coreutils',
  rm: 'coreutils',
  chmod: 'coreutils',
};
/** Where system programs are when the service was given no PATH; sbin is in few users' own. */
const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Throws IsolationUnavailable that names what is to be installed. */
export async function findTools(searchPath: string | undefined): Promise<Tools> {
  const dirs = `${searchPath ?? ''}:${SYSTEM_PATH}`.split(':').filter(isAbsolute);
  const missing: (keyof Tools)[] = [];
  const find = async (name: keyof Tools): Promise<string> => {
    for (const dir of dirs) {
      const path = join(dir, name);
      if (await isExecutable(path)) return realpathOf(path, name);
    }
    missing.push(name);
    return '';
  };
  const tools: Tools = {
    bwrap: await find('bwrap'),
    socat: await find('socat'),
    setpriv: await find('setpriv'),
    prlimit: await find('prlimit'),
    sh: await find('sh'),
    mkfifo: await find('mkfifo'),
    mount: await find('mount'),
    umount: await find('umount'),
    rm: await find('rm'),
    chmod: await find('chmod'),
  };
  if (missing.length === 0) return tools;
  const packages = [...new Set(missing.map((name) => PACKAGES[name]))].join(' ');
  throw new IsolationUnavailable({
    check: 'tools',
    observed: `not found: ${missing.join(', ')}`,
    fix: `Install them, on Debian or Ubuntu: apt-get install ${packages}`,
  });
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** Links are followed once, here; but busybox and the like know what they are to be by the name they are called by. */
async function realpathOf(path: string, name: string): Promise<string> {
  const real = await realpath(path);
  return real.endsWith(`/${name}`) ? real : path;
}
