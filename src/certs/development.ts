import { createPrivateKey, X509Certificate } from 'node:crypto';
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, systemClock } from '../clock.ts';
import { type Issued, issue, makeAuthority, type SubjectName, validFor } from './authority.ts';
import { CLIENTS, clientUri, identityMapOf } from './clients.ts';

const AUTHORITY_DAYS = 3_650;
/** Within what browsers take (398). */
const LEAF_DAYS = 365;
/** What ends sooner is made anew. */
const RENEW_MS = 7 * 86_400_000;

const SERVER_NAMES: readonly SubjectName[] = [{ dns: 'localhost' }, { ip: '127.0.0.1' }, { ip: '::1' }];

interface Wanted {
  readonly name: string;
  readonly commonName: string;
  readonly names: readonly SubjectName[];
  readonly usage: 'server' | 'client';
}

/**
 * Makes what is missing, spoilt or about to expire in `dir`: the authority, the server's certificate, one certificate for each
 * client of the contract (§13), and the identity map. What is good stays as it is. For development only.
 */
export async function makeDevelopmentCertificates(
  dir: string,
  options: { readonly trustDomain: string; readonly clock?: Clock },
): Promise<void> {
  const now = (options.clock ?? systemClock)();
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const authority = await keepOrMakeAuthority(dir, now);
  await Promise.all(wanted(options.trustDomain).map((leaf) => keepOrIssue(dir, authority, leaf, now)));
  const map = `${JSON.stringify(identityMapOf(options.trustDomain), null, 2)}\n`;
  if ((await readIfThere(join(dir, 'identity-map.json'))) !== map)
    await put(join(dir, 'identity-map.json'), map, 0o644);
}

function wanted(trustDomain: string): Wanted[] {
  const clients = CLIENTS.map((client) => ({
    name: client.name,
    commonName: client.name,
    names: [{ uri: clientUri(client, trustDomain) }],
    usage: 'client' as const,
  }));
  return [{ name: 'server', commonName: 'localhost', names: SERVER_NAMES, usage: 'server' }, ...clients];
}

async function keepOrMakeAuthority(dir: string, now: number): Promise<Issued> {
  const present = await readPair(dir, 'ca');
  if (present !== undefined && isGood(present, now)) return present;
  const made = await makeAuthority('Castellan development CA', validFor(now, AUTHORITY_DAYS));
  await putPair(dir, 'ca', made);
  return made;
}

async function keepOrIssue(dir: string, authority: Issued, leaf: Wanted, now: number): Promise<void> {
  const present = await readPair(dir, leaf.name);
  if (present !== undefined && isGood(present, now) && isFrom(authority, present) && hasNames(present, leaf)) return;
  await putPair(dir, leaf.name, await issue(authority, { ...leaf, validity: validFor(now, LEAF_DAYS) }));
}

function isGood(pair: Issued, now: number): boolean {
  try {
    const certificate = new X509Certificate(pair.cert);
    const { validFromDate, validToDate } = certificate;
    return (
      certificate.checkPrivateKey(createPrivateKey(pair.key)) &&
      validFromDate.getTime() <= now &&
      validToDate.getTime() - now > RENEW_MS
    );
  } catch {
    // Not PEM, or not a certificate: made anew like one that is missing.
    return false;
  }
}

function isFrom(authority: Issued, pair: Issued): boolean {
  return new X509Certificate(pair.cert).verify(new X509Certificate(authority.cert).publicKey);
}

function hasNames(pair: Issued, leaf: Wanted): boolean {
  const shown = new X509Certificate(pair.cert).subjectAltName ?? '';
  return leaf.names.every((name) => 'ip' in name || shown.split(', ').includes(sanText(name)));
}

function sanText(name: { uri: string } | { dns: string }): string {
  return 'uri' in name ? `URI:${name.uri}` : `DNS:${name.dns}`;
}

async function readPair(dir: string, name: string): Promise<Issued | undefined> {
  const [key, cert] = await Promise.all([readIfThere(join(dir, `${name}.key`)), readIfThere(join(dir, `${name}.crt`))]);
  return key === undefined || cert === undefined ? undefined : { key, cert };
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

async function putPair(dir: string, name: string, pair: Issued): Promise<void> {
  await put(join(dir, `${name}.key`), pair.key, 0o600);
  await put(join(dir, `${name}.crt`), pair.cert, 0o644);
}

// By rename, so that a reader sees the old file or the new one; the mode is set apart, for the umask trims it.
async function put(path: string, text: string, mode: number): Promise<void> {
  const temporary = `${path}.new`;
  await writeFile(temporary, text, { mode });
  await chmod(temporary, mode);
  await rename(temporary, path);
}
