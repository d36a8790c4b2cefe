import { resolve } from 'node:path';

import type { RunEnvironment } from '../config.ts';
import type { SettingsReader } from './read.ts';
import type { SettingName } from './settings.ts';

/** An Ed25519 key file, or for HMAC-SHA256 a shared secret (base64). */
export interface LocalSignerConfig {
  readonly source: 'local';
  readonly signerId: string;
  readonly algorithm: 'Ed25519' | 'HMAC-SHA256';
  readonly keyFile: string | undefined;
  readonly hmacSecret: string | undefined;
}

/** A key that never is in this process: of a KMS, by its full ARN, of an HSM, by its label, or of a proxy, by the signerId. */
export type RemoteSignerConfig =
  | { readonly source: 'kms'; readonly signerId: string; readonly keyArn: string }
  | { readonly source: 'pkcs11'; readonly signerId: string; readonly key: string }
  | { readonly source: 'proxy'; readonly signerId: string };

export type SignerConfig = LocalSignerConfig | RemoteSignerConfig;

/** Where keys outside the process are reached. Paths are read when the signers are opened. */
export interface KeyServices {
  readonly kms: {
    readonly endpoint: string | undefined;
    readonly caFile: string | undefined;
  };
  readonly proxy: {
    readonly url: string | undefined;
    readonly caFile: string | undefined;
    readonly certFile: string | undefined;
    readonly keyFile: string | undefined;
    readonly apiKey: string | undefined;
  };
  /** The HSM; absent where no key is in one. */
  readonly pkcs11?: { readonly module: string; readonly tokenLabel: string; readonly pin: string } | undefined;
  /** Signatures a second that this process's share of the quota allows. */
  readonly perSecond: number;
}

/** For signers that are all local. */
export const NO_KEY_SERVICES: KeyServices = {
  kms: { endpoint: undefined, caFile: undefined },
  proxy: { url: undefined, caFile: undefined, certFile: undefined, keyFile: undefined, apiKey: undefined },
  perSecond: 1000,
};

export interface SigningConfig {
  readonly audit: SignerConfig;
  readonly proof: SignerConfig;
  readonly services: KeyServices;
}

interface Names {
  readonly source: SettingName;
  readonly signerId: SettingName;
  readonly keyFile: SettingName;
  readonly kmsKey: SettingName;
  readonly pkcs11Key: SettingName;
}

export const AUDIT: Names = {
  source: 'AUDIT_SIGNING_KEY_SOURCE',
  signerId: 'AUDIT_SIGNER_KID',
  keyFile: 'CASTELLAN_AUDIT_SIGNING_KEY_FILE',
  kmsKey: 'AUDIT_SIGNING_KMS_KEY_ID',
  pkcs11Key: 'CASTELLAN_AUDIT_SIGNING_PKCS11_KEY',
};
export const PROOF: Names = {
  source: 'CASTELLAN_PROOF_SIGNING_KEY_SOURCE',
  signerId: 'CASTELLAN_PROOF_SIGNER_KID',
  keyFile: 'CASTELLAN_PROOF_SIGNING_KEY_FILE',
  kmsKey: 'CASTELLAN_PROOF_SIGNING_KMS_KEY_ID',
  pkcs11Key: 'CASTELLAN_PROOF_SIGNING_PKCS11_KEY',
};
export const CHECKPOINT: Names = {
  source: 'CASTELLAN_CHECKPOINT_SIGNING_KEY_SOURCE',
  signerId: 'CASTELLAN_CHECKPOINT_SIGNER_KID',
  keyFile: 'CASTELLAN_CHECKPOINT_SIGNING_KEY_FILE',
  kmsKey: 'CASTELLAN_CHECKPOINT_SIGNING_KMS_KEY_ID',
  pkcs11Key: 'CASTELLAN_CHECKPOINT_SIGNING_PKCS11_KEY',
};
const ALL = [AUDIT, PROOF, CHECKPOINT];
const TOKEN = ['CASTELLAN_PKCS11_MODULE', 'CASTELLAN_PKCS11_TOKEN_LABEL', 'CASTELLAN_PKCS11_PIN'] as const;
/** The driver looks closer (signers/drivers/kms/key-arn.ts); here it is enough to name the setting. */
const KEY_ARN = /^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key\/[A-Za-z0-9-]{1,128}$/;

/** The signers of `serve`, which has to be told each of them. */
export function readSigning(read: SettingsReader): SigningConfig {
  return {
    audit: readSigner(read, AUDIT),
    proof: readProofSigner(read),
    services: readServices(read),
  };
}

/** One signer by its source. What belongs to another source than the chosen one is a mistake that must not pass. */
export function readSigner(read: SettingsReader, names: Names): SignerConfig {
  const signerId = read.required(names.signerId);
  const source = read.text(names.source);
  if (source !== 'kms' && read.text(names.kmsKey) !== undefined) {
    read.problem(`${names.kmsKey} is set, but ${names.source} is not kms`);
  }
  if (source !== 'local' && read.text(names.keyFile) !== undefined) {
    read.problem(`${names.keyFile} is set, but ${names.source} is not local`);
  }
  if (source !== 'pkcs11' && read.text(names.pkcs11Key) !== undefined) {
    read.problem(`${names.pkcs11Key} is set, but ${names.source} is not pkcs11`);
  }
  if (source === 'kms') return { source, signerId, keyArn: readKeyArn(read, names.kmsKey) };
  if (source === 'pkcs11') return { source, signerId, key: readTokenKey(read, names.pkcs11Key) };
  if (source === 'proxy') return { source, signerId };
  // Where a file is not allowed at all, it would be wrong to ask for one.
  const isRefused = read.problems.some((problem) => problem.startsWith(names.source));
  const keyFile = isRefused ? '' : read.required(names.keyFile);
  return { source: 'local', signerId, algorithm: 'Ed25519', keyFile: optional(keyFile), hmacSecret: undefined };
}

/** An alias can be pointed at another key, and a bare id means whatever the account of the moment has under it. */
function readKeyArn(read: SettingsReader, name: SettingName): string {
  const arn = read.required(name);
  if (arn !== '' && !KEY_ARN.test(arn)) {
    read.problem(`${name} is not a full key ARN (arn:aws:kms:<region>:<account>:key/<id>)`);
  }
  requireOwnKey(read, name, arn, 'kmsKey');
  return arn;
}

function readTokenKey(read: SettingsReader, name: SettingName): string {
  const key = read.required(name);
  requireOwnKey(read, name, key, 'pkcs11Key');
  return key;
}

/** A key that signs for two purposes makes one a forgery of the other. */
function requireOwnKey(read: SettingsReader, name: SettingName, key: string, kind: 'kmsKey' | 'pkcs11Key'): void {
  const others = ALL.map((names) => names[kind]).filter((other) => other !== name);
  if (key !== '' && others.some((other) => read.text(other) === key)) {
    read.problem(`${name} names the key of another purpose: one key, one purpose`);
  }
}

function readProofSigner(read: SettingsReader): SignerConfig {
  if (proofAlgorithm(read) !== 'HMAC-SHA256') return readSigner(read, PROOF);
  if (read.text(PROOF.source) !== 'local') {
    read.problem(`CASTELLAN_PROOF_SIGNING_ALG: HMAC-SHA256 needs ${PROOF.source}=local`);
  }
  return {
    source: 'local',
    signerId: read.required(PROOF.signerId),
    algorithm: 'HMAC-SHA256',
    keyFile: undefined,
    hmacSecret: read.required('CASTELLAN_PROOF_SIGNING_HMAC_SECRET'),
  };
}

export function proofAlgorithm(read: SettingsReader): 'Ed25519' | 'HMAC-SHA256' {
  return read.text('CASTELLAN_PROOF_SIGNING_ALG') === 'HMAC-SHA256' ? 'HMAC-SHA256' : 'Ed25519';
}

/** Production, and REQUIRE_KMS=true anywhere, want every key outside the process. */
export function checkSigningSources(read: SettingsReader, environment: RunEnvironment): void {
  const external = environment === 'production' || read.boolean('REQUIRE_KMS') === true;
  for (const { source: name } of ALL) {
    const source = read.text(name);
    if (external && source === 'local') read.problem(`${name} must be kms, proxy or pkcs11`);
  }
  if (environment === 'production' && proofAlgorithm(read) === 'HMAC-SHA256') {
    read.problem('CASTELLAN_PROOF_SIGNING_ALG: HMAC-SHA256 is not allowed in production');
  }
}

/** `castellan dev` signs with keys of its own. */
export function refuseRemoteKeys(read: SettingsReader): void {
  for (const { source: name } of ALL) {
    const source = read.text(name);
    if (source !== undefined && source !== 'local') {
      read.problem(`${name}=${source}: \`castellan dev\` signs with keys of its own; use \`serve\``);
    }
  }
}

function readServices(read: SettingsReader): KeyServices {
  const url = read.text('SIGNING_PROXY_URL');
  const certFile = read.text('CASTELLAN_SIGNING_PROXY_CERT_FILE');
  const keyFile = read.text('CASTELLAN_SIGNING_PROXY_KEY_FILE');
  const apiKey = read.text('CASTELLAN_SIGNING_PROXY_API_KEY');
  const isUsed = ALL.some(({ source }) => read.text(source) === 'proxy');
  if (isUsed && url === undefined) read.problem('SIGNING_PROXY_URL is required where a key is in a signing proxy');
  if (!isUsed && url !== undefined) read.problem('SIGNING_PROXY_URL is set, but no key source is proxy');
  if ((certFile === undefined) !== (keyFile === undefined)) {
    read.problem('CASTELLAN_SIGNING_PROXY_CERT_FILE and CASTELLAN_SIGNING_PROXY_KEY_FILE go together');
  }
  if (isUsed && certFile === undefined && apiKey === undefined) {
    read.problem('the signing proxy needs a client certificate or CASTELLAN_SIGNING_PROXY_API_KEY');
  }
  return {
    kms: { endpoint: read.text('CASTELLAN_KMS_ENDPOINT'), caFile: optional(read.text('CASTELLAN_KMS_CA_FILE')) },
    proxy: {
      url,
      caFile: optional(read.text('CASTELLAN_SIGNING_PROXY_CA_FILE')),
      certFile: optional(certFile),
      keyFile: optional(keyFile),
      apiKey,
    },
    pkcs11: readToken(read),
    perSecond: read.integer('CASTELLAN_SIGNING_QUOTA_PER_SECOND'),
  };
}

/** The token, or problems with what names it; undefined where nothing is in one. */
export function readToken(read: SettingsReader): KeyServices['pkcs11'] {
  const [module, tokenLabel, pin] = TOKEN.map((name) => read.text(name));
  const isUsed = ALL.some(({ source }) => read.text(source) === 'pkcs11');
  for (const name of TOKEN) {
    const isSet = read.text(name) !== undefined;
    if (isUsed && !isSet) read.problem(`${name} is required where a key is in an HSM (pkcs11)`);
    if (!isUsed && isSet) read.problem(`${name} is set, but no key source is pkcs11`);
  }
  if (module === undefined || tokenLabel === undefined || pin === undefined) return undefined;
  return { module: resolve(module), tokenLabel, pin };
}

function optional(path: string | undefined): string | undefined {
  return path === undefined || path === '' ? undefined : resolve(path);
}
