import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { CastellanError, credentialsError } from './errors.ts';
import { type CertificateEvent, tell } from './hooks.ts';
import type { PemRef } from './options.ts';

export interface TlsRefs {
  readonly ca?: PemRef | undefined;
  readonly cert?: PemRef | undefined;
  readonly key?: PemRef | undefined;
}

/** PEM that belongs together: the key is that of the certificate. */
export interface TlsMaterial {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

export interface TlsWatch {
  readonly first: TlsMaterial;
  /** Looks at the files now. True when they have changed and are in use. */
  check(): Promise<boolean>;
  end(): void;
}

/** Reads the material, throws CastellanError when it cannot be used, and then keeps looking for changed files. */
export async function watchTlsMaterial(
  refs: TlsRefs,
  everyMs: number,
  use: (material: TlsMaterial) => void,
  told: ((event: CertificateEvent) => void) | undefined,
): Promise<TlsWatch> {
  if ((refs.cert === undefined) !== (refs.key === undefined)) {
    throw credentialsError('clientCertPemRef and clientKeyPemRef go together');
  }
  const first = await readMaterial(refs);
  let current = JSON.stringify(first);
  let complaint: string | undefined;
  let running: Promise<boolean> | undefined;

  const look = async (): Promise<boolean> => {
    try {
      const material = await readMaterial(refs);
      complaint = undefined;
      if (JSON.stringify(material) === current) return false;
      use(material);
      current = JSON.stringify(material);
      tell(told, { state: 'reloaded' });
      return true;
    } catch (thrown) {
      const error =
        thrown instanceof CastellanError ? thrown : credentialsError('the PEM files cannot be read', thrown);
      // Once per trouble, not once per look.
      if (error.message !== complaint) tell(told, { state: 'kept', error });
      complaint = error.message;
      return false;
    }
  };
  const check = (): Promise<boolean> => {
    running ??= look().finally(() => {
      running = undefined;
    });
    return running;
  };
  const hasFiles = [refs.ca, refs.cert, refs.key].some((ref) => typeof ref === 'string');
  const timer = hasFiles ? setInterval(() => void check(), everyMs).unref() : undefined;
  return { first, check, end: () => clearInterval(timer) };
}

async function readMaterial(refs: TlsRefs): Promise<TlsMaterial> {
  const [ca, cert, key] = await Promise.all([
    readPem('caCertPemRef', refs.ca),
    readPem('clientCertPemRef', refs.cert),
    readPem('clientKeyPemRef', refs.key),
  ]);
  if (ca !== undefined) requireCertificates('caCertPemRef', ca);
  if (cert !== undefined && key !== undefined) requirePair(cert, key);
  const material = {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
  try {
    createSecureContext(material);
  } catch {
    throw credentialsError('certificate, key and authorities are not usable together');
  }
  return material;
}

async function readPem(name: string, ref: PemRef | undefined): Promise<string | undefined> {
  if (ref === undefined) return undefined;
  if (typeof ref !== 'string') return ref.pem;
  try {
    return await readFile(ref, 'utf8');
  } catch (cause) {
    throw credentialsError(`${name} cannot be read`, cause);
  }
}

/** The first of the certificates. A file cut short has an unfinished block, which TLS itself would pass over in silence. */
function requireCertificates(name: string, pem: string): X509Certificate {
  const begun = pem.split('-----BEGIN ').length - 1;
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g) ?? [];
  const [first] = blocks.length === begun ? blocks.map((block) => parse(name, block)) : [];
  if (first === undefined) throw credentialsError(`${name} is not whole PEM certificates`);
  return first;
}

function parse(name: string, block: string): X509Certificate {
  try {
    return new X509Certificate(block);
  } catch {
    throw credentialsError(`${name} is not whole PEM certificates`);
  }
}

// Between the writing of the one file and of the other they do not match.
function requirePair(cert: string, key: string): void {
  const leaf = requireCertificates('clientCertPemRef', cert);
  let matches = false;
  try {
    matches = leaf.checkPrivateKey(createPrivateKey(key));
  } catch {
    throw credentialsError('clientKeyPemRef is not an unencrypted PEM private key');
  }
  if (!matches) throw credentialsError('clientKeyPemRef is not the key of clientCertPemRef');
}
