import { chmod, copyFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';

import { makeDir } from './state-dir.ts';

/** Everything isolated is this user inside. */
export const SANDBOX_UID = 1000;
export const SANDBOX_HOSTNAME = 'sandbox';

const READABLE_DIR = 0o755;
const READABLE = 0o644;

/** What is the same on every machine of its kind, and says nothing of this one. */
const COPIED = ['ld.so.cache', 'services', 'protocols', 'ssl/openssl.cnf'];
/** Where distributions keep the bundle of authorities. */
const BUNDLES = ['/etc/ssl/certs/ca-certificates.crt', '/etc/pki/tls/certs/ca-bundle.crt', '/etc/ssl/cert.pem'];

const FILES: Readonly<Record<string, string>> = {
  passwd: [
    'root:x:0:0:root:/nonexistent:/usr/sbin/nologin',
    `sandbox:x:${SANDBOX_UID}:${SANDBOX_UID}::/workspace:/bin/sh`,
    'nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin',
    '',
  ].join('\n'),
  group: `root:x:0:\nsandbox:x:${SANDBOX_UID}:\nnogroup:x:65534:\n`,
  hostname: `${SANDBOX_HOSTNAME}\n`,
  hosts: `127.0.0.1 localhost ${SANDBOX_HOSTNAME}\n::1 localhost\n`,
  // Names are resolved by the egress proxy, never inside.
  'resolv.conf': '',
  'nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files\nservices: files\nprotocols: files\n',
};

/** Makes the /etc of everything isolated in `dir`, which is new. Readable by all. */
export async function writeEtc(dir: string): Promise<void> {
  for (const below of ['ssl', 'ssl/certs']) await makeDir(join(dir, below), READABLE_DIR);
  // Mount point of the machine's own, through which programs such as awk are found.
  await makeDir(join(dir, 'alternatives'), READABLE_DIR);
  for (const [name, text] of Object.entries(FILES)) await write(join(dir, name), text);
  for (const name of COPIED) {
    if (await isFile(join('/etc', name))) await copy(join('/etc', name), join(dir, name));
  }
  await writeBundle(join(dir, 'ssl', 'certs', 'ca-certificates.crt'));
  await symlink('certs/ca-certificates.crt', join(dir, 'ssl', 'cert.pem'));
}

/** The machine's, which may have authorities of its operator; else Node's own. */
async function writeBundle(path: string): Promise<void> {
  for (const bundle of BUNDLES) if (await isFile(bundle)) return copy(bundle, path);
  await write(path, `${rootCertificates.join('\n')}\n`);
}

async function copy(from: string, to: string): Promise<void> {
  await copyFile(from, to);
  await chmod(to, READABLE);
}

/** Of this mode, whatever the service's umask is. */
async function write(path: string, text: string): Promise<void> {
  await writeFile(path, text);
  await chmod(path, READABLE);
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}
