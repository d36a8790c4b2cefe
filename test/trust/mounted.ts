import { mkdir, mkdtemp, readFile, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Issued } from '../../src/certs/authority.ts';
import type { Tap } from '../support/postgres.ts';
import { testCertificates } from '../support/service.ts';

const NAMES = ['ca.crt', 'server.crt', 'server.key', 'identity-map.json'];

export interface OwnFiles {
  readonly dir: string;
  /** Settings that name the files of this directory. */
  readonly api: { readonly certFile: string; readonly keyFile: string; readonly clientCaFile: string };
  readonly identity: { readonly mapFile: string };
  /** The development authority, with its key. */
  readonly authority: Issued;
  read(name: string): Promise<string>;
  /** By rename, as a careful operator does. */
  put(name: string, text: string): Promise<void>;
}

/** Copies of the development files that a test may change without taking them from others. */
export async function ownFiles(t: Tap): Promise<OwnFiles> {
  const certsDir = await testCertificates(t);
  const dir = await emptyDir(t);
  const from = (name: string) => readFile(join(certsDir, name), 'utf8');
  for (const name of NAMES) await writeFile(join(dir, name), await from(name));
  return {
    dir,
    api: {
      certFile: join(dir, 'server.crt'),
      keyFile: join(dir, 'server.key'),
      clientCaFile: join(dir, 'ca.crt'),
    },
    identity: { mapFile: join(dir, 'identity-map.json') },
    authority: { key: await from('ca.key'), cert: await from('ca.crt') },
    read: (name) => readFile(join(dir, name), 'utf8'),
    put: (name, text) => put(join(dir, name), text),
  };
}

export async function emptyDir(t: Tap): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'castellan-trust-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

async function put(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}

/**
 * A directory as the kubelet mounts a secret: each name is a link over `..data`, a link that is exchanged for one to a new
 * directory; the old directory goes.
 */
export async function mountedSecret(t: Tap, names: readonly string[]) {
  const dir = await emptyDir(t);
  for (const name of names) await symlink(join('..data', name), join(dir, name));
  let version = 0;
  let present: string | undefined;
  return {
    path: (name: string) => join(dir, name),
    update: async (contents: Readonly<Record<string, string>>) => {
      version += 1;
      const next = `..version_${version}`;
      await mkdir(join(dir, next));
      for (const [name, text] of Object.entries(contents)) await writeFile(join(dir, next, name), text);
      await symlink(next, join(dir, '..data_tmp'));
      await rename(join(dir, '..data_tmp'), join(dir, '..data'));
      if (present !== undefined) await rm(join(dir, present), { recursive: true });
      present = next;
    },
    /** As when the secret is deleted. */
    remove: () => unlink(join(dir, '..data')),
  };
}
