import { resolve } from 'node:path';

import { checkProxyIdentities } from './proxy-identities.ts';
import type { SettingsReader } from './read.ts';
import { safeUrl } from './safe-url.ts';

/** SPIFFE-ID §2.1: lower-case letters, digits, dots, dashes, underscores. */
const TRUST_DOMAIN = /^[a-z0-9._-]{1,255}$/;
const SERIAL = /^[0-9A-F]{1,40}$/;

/** Who may call. */
export interface IdentityConfig {
  readonly trustDomain: string;
  readonly allowCn: boolean;
  readonly skipMtls: boolean;
  /** Ms between two looks at the files. */
  readonly reloadMs: number;
  readonly revocation: {
    /** Upper-case hex. */
    readonly serials: readonly string[];
    readonly serialsFile: string | undefined;
    readonly crlFiles: readonly string[];
    readonly ocsp: 'off' | 'require';
    readonly ocspUrl: string | undefined;
  };
  /** SPIFFE IDs of the proxies whose word counts. */
  readonly proxies: readonly string[];
  /** Absent: no token is accepted. */
  readonly tokens?: TokenConfig | undefined;
  /** Absent: there is no listener for humans. */
  readonly human?: HumanListenerConfig | undefined;
  readonly breakGlassMaxMinutes: number;
}

export interface TokenConfig {
  readonly issuersFile: string;
  readonly caFile: string | undefined;
  readonly toleranceSeconds: number;
}

export interface HumanListenerConfig {
  readonly host: string;
  readonly port: number;
  /** Unset: those of the API listener. */
  readonly certFile: string | undefined;
  readonly keyFile: string | undefined;
}

/** Whose manifests are believed. */
export interface ManifestConfig {
  readonly audience: string;
  /** Absent: the registry alone counts. */
  readonly kernel?: KernelApiConfig | undefined;
}

export interface KernelApiConfig {
  readonly url: string;
  readonly caFile: string | undefined;
  readonly certFile: string | undefined;
  readonly keyFile: string | undefined;
  readonly token: string | undefined;
  readonly cacheMs: number;
}

/** What is wrong with the settings is added to the reader's problems. */
export function readIdentity(read: SettingsReader): IdentityConfig {
  return {
    trustDomain: trustDomain(read),
    allowCn: read.boolean('CASTELLAN_IDENTITY_ALLOW_CN') ?? false,
    skipMtls: skipMtls(read),
    reloadMs: read.integer('CASTELLAN_IDENTITY_RELOAD_MS'),
    revocation: {
      serials: serials(read),
      serialsFile: read.path('CASTELLAN_IDENTITY_REVOKED_SERIALS_FILE'),
      crlFiles: read.list('CASTELLAN_IDENTITY_CRL_FILES').map((file) => resolve(file)),
      ocsp: read.text('CASTELLAN_IDENTITY_OCSP') === 'require' ? 'require' : 'off',
      ocspUrl: responderUrl(read),
    },
    proxies: proxies(read),
    tokens: tokens(read),
    human: human(read),
    breakGlassMaxMinutes: read.integer('CASTELLAN_BREAK_GLASS_MAX_MINUTES'),
  };
}

/** What is wrong with the settings is added to the reader's problems. */
export function readManifests(read: SettingsReader): ManifestConfig {
  const url = safeUrl(read, 'CASTELLAN_KERNEL_API_URL');
  const kernel = url === undefined ? undefined : { url, ...kernelApi(read) };
  return { audience: read.required('CASTELLAN_MANIFEST_AUDIENCE'), kernel };
}

function kernelApi(read: SettingsReader): Omit<KernelApiConfig, 'url'> {
  const certFile = read.path('CASTELLAN_KERNEL_API_CERT_FILE');
  const keyFile = read.path('CASTELLAN_KERNEL_API_KEY_FILE');
  if ((certFile === undefined) !== (keyFile === undefined)) {
    read.problem('CASTELLAN_KERNEL_API_CERT_FILE and CASTELLAN_KERNEL_API_KEY_FILE belong together');
  }
  return {
    caFile: read.path('CASTELLAN_KERNEL_API_CA_FILE'),
    certFile,
    keyFile,
    token: read.text('CASTELLAN_KERNEL_API_TOKEN'),
    cacheMs: read.integer('CASTELLAN_KERNEL_API_CACHE_SECONDS') * 1000,
  };
}

function tokens(read: SettingsReader): TokenConfig | undefined {
  const issuersFile = read.path('CASTELLAN_TOKEN_ISSUERS_FILE');
  if (issuersFile === undefined) return undefined;
  return {
    issuersFile,
    caFile: read.path('CASTELLAN_TOKEN_CA_FILE'),
    toleranceSeconds: read.integer('CASTELLAN_TOKEN_CLOCK_TOLERANCE_SECONDS'),
  };
}

function human(read: SettingsReader): HumanListenerConfig | undefined {
  if (read.text('CASTELLAN_HUMAN_PORT') === undefined) return undefined;
  if (read.text('CASTELLAN_TOKEN_ISSUERS_FILE') === undefined) {
    read.problem('CASTELLAN_HUMAN_PORT needs CASTELLAN_TOKEN_ISSUERS_FILE: without tokens nobody could use it');
  }
  const certFile = read.path('CASTELLAN_HUMAN_TLS_CERT_FILE');
  const keyFile = read.path('CASTELLAN_HUMAN_TLS_KEY_FILE');
  if ((certFile === undefined) !== (keyFile === undefined)) {
    read.problem('CASTELLAN_HUMAN_TLS_CERT_FILE and CASTELLAN_HUMAN_TLS_KEY_FILE belong together');
  }
  return {
    host: read.required('CASTELLAN_HUMAN_HOST'),
    port: read.integer('CASTELLAN_HUMAN_PORT'),
    certFile,
    keyFile,
  };
}

/** An unreadable spelling counts as on for the check and is a problem of its own. */
function skipMtls(read: SettingsReader): boolean {
  const skip = read.boolean('DEV_SKIP_MTLS') ?? true;
  // Behind another address a forwarder on this machine would make strangers look local.
  if (skip && !isLoopback(read.required('CASTELLAN_API_HOST'))) {
    read.problem('DEV_SKIP_MTLS needs CASTELLAN_API_HOST to be a loopback address');
  }
  return skip;
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host);
}

function trustDomain(read: SettingsReader): string {
  const name = read.required('CASTELLAN_IDENTITY_TRUST_DOMAIN');
  if (!TRUST_DOMAIN.test(name)) read.problem('CASTELLAN_IDENTITY_TRUST_DOMAIN is not a SPIFFE trust domain');
  return name;
}

function proxies(read: SettingsReader): string[] {
  const names = read.list('CASTELLAN_MESH_PROXY_IDENTITIES');
  checkProxyIdentities(read, names, read.required('CASTELLAN_IDENTITY_TRUST_DOMAIN'));
  return names;
}

/** Plain HTTP will do: what a responder says is signed. */
function responderUrl(read: SettingsReader): string | undefined {
  const url = read.text('CASTELLAN_IDENTITY_OCSP_URL');
  if (url !== undefined && !/^https?:/i.test(url)) read.problem('CASTELLAN_IDENTITY_OCSP_URL must be http or https');
  return url;
}

function serials(read: SettingsReader): string[] {
  const names = read.list('CASTELLAN_IDENTITY_REVOKED_SERIALS').map((serial) => serial.toUpperCase());
  if (names.some((serial) => !SERIAL.test(serial))) {
    read.problem('CASTELLAN_IDENTITY_REVOKED_SERIALS must be hex serial numbers, comma separated');
  }
  return names;
}
