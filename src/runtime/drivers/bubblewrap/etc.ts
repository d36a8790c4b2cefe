import { copyFile, mkdir, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { rootCertificates } from 'node:tls';

/** Everything isolated is this user inside. */
export const SANDBOX_UID = 1000;
export const SANDBOX_HOSTNAME = 'sandbox';

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
  await mkdir(join(dir, 'ssl', 'certs'), { recursive: true, mode: 0o755 });
  // Mount point of the machine's own, through which programs such as awk are found.
  await mkdir(join(dir, 'alternatives'), { mode: 0o755 });
  for (const [name, text] of Object.entries(FILES)) await writeFile(join(dir, name), text, { mode: 0o644 });
  for (const name of COPIED) {
    if (await isFile(join('/etc', name))) await copy(join('/etc', name), join(dir, name));
  }
  await writeBundle(join(dir, 'ssl', 'certs', 'ca-certificates.crt'));
  await symlink('certs/ca-certificates.crt', join(dir, 'ssl', 'cert.pem'));
}

/** The machine's, which may have authorities of its operator; else Node's own. */
async function writeBundle(path: string): Promise<void> {
  for (const bundle of BUNDLES) if (await isFile(bundle)) return copy(bundle, path);
  await writeFile(path, `${rootCertificates.join('\n')}\n`, { mode: 0o644 });
}

async function copy(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true, mode: 0o755 });
  await copyFile(from, to);
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}
