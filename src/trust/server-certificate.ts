import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';

import type { Clock } from '../clock.ts';
import { FileRefused } from './errors.ts';
import { trySelfHandshake } from './self-handshake.ts';
import type { Ending, Loaded, WatchedSource } from './watched.ts';

const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';

export interface ServerMaterial {
  /** PEM. */
  readonly key: string;
  /** PEM: the certificate and what leads to its authority. */
  readonly cert: string;
}

export interface ServerCertificate {
  readonly source: WatchedSource;
  /** Throws before the first load. */
  current(): ServerMaterial;
}

export interface ServerCertificateOptions {
  /** `server_certificate`, or that of another listener. */
  readonly name: string;
  readonly certFile: string;
  readonly keyFile: string;
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  readonly clock: Clock;
  /** Called in the turn in which the material is in force. */
  readonly changed: () => void;
}

interface InForce extends ServerMaterial {
  readonly leaf: X509Certificate;
}

/** The certificate and key of a listener, as their two files have them. */
export function createServerCertificate(options: ServerCertificateOptions): ServerCertificate {
  const { name, certFile, keyFile, minVersion, clock, changed } = options;
  let inForce: InForce | undefined;

  async function load(contents: ReadonlyMap<string, Buffer>): Promise<Loaded> {
    const cert = textOf(contents, certFile);
    const key = textOf(contents, keyFile);
    const leaf = readLeaf(cert, certFile);
    if (!leaf.checkPrivateKey(readKey(key, keyFile)))
      throw new FileRefused(`${keyFile} is not the key of the certificate in ${certFile}`);
    requireForServers(leaf, certFile);
    if (inForce !== undefined) requireNoWorse(leaf, inForce.leaf, clock());
    await trySelfHandshake({ key, cert, minVersion }, leaf.fingerprint256);
    const next = { key, cert, leaf };
    return {
      apply: () => {
        inForce = next;
        changed();
      },
      ends: [],
      events: () => [
        {
          type: 'server.certificate.applied',
          payload: {
            fingerprint: leaf.fingerprint256.replaceAll(':', ''),
            notAfter: leaf.validToDate.toISOString(),
          },
        },
      ],
    };
  }

  function endings(): Ending[] {
    return inForce === undefined ? [] : [{ certificate: labelOf(name), notAfter: inForce.leaf.validToDate.getTime() }];
  }

  return {
    source: { name, paths: [certFile, keyFile], load, endings },
    current: () => {
      if (inForce === undefined) throw new Error(`${name} is not loaded`);
      return inForce;
    },
  };
}

/** `server_certificate` → `server`. */
function labelOf(name: string): string {
  return name.replace(/_certificate$/, '');
}

function textOf(contents: ReadonlyMap<string, Buffer>, path: string): string {
  return contents.get(path)?.toString('utf8') ?? '';
}

function readLeaf(cert: string, certFile: string): X509Certificate {
  try {
    return new X509Certificate(cert);
  } catch (cause) {
    throw new FileRefused(`${certFile} is not a PEM certificate`, { cause });
  }
}

function readKey(key: string, keyFile: string): KeyObject {
  try {
    return createPrivateKey(key);
  } catch {
    // Without the cause: nothing that was made from a key goes further than here.
    throw new FileRefused(`${keyFile} is not a PEM private key`);
  }
}

/** A client's certificate put in the wrong place would turn every client away. */
function requireForServers({ keyUsage, ca }: X509Certificate, certFile: string): void {
  const usages: readonly string[] = keyUsage ?? [];
  if (usages.length > 0 && !usages.includes(SERVER_AUTH)) throw new FileRefused(`${certFile} is not for servers`);
  if (ca) throw new FileRefused(`${certFile} is that of an authority`);
}

/** One that no client takes now never replaces one that they take. */
function requireNoWorse(next: X509Certificate, present: X509Certificate, now: number): void {
  if (now > present.validToDate.getTime()) return;
  if (now > next.validToDate.getTime()) throw new FileRefused('the new certificate has expired');
  if (now < next.validFromDate.getTime()) throw new FileRefused('the new certificate is not valid yet');
}
