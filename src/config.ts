import { resolve } from 'node:path';

import { type CheckpointSettings, readCheckpoints, signsCheckpoints } from './config/checkpoints.ts';
import { type IdentityConfig, type ManifestConfig, readIdentity, readManifests } from './config/identity.ts';
import { type LimitsConfig, readLimits } from './config/limits.ts';
import { type Environment, SettingsReader } from './config/read.ts';
import { type RuntimeConfig, readRuntime } from './config/runtime.ts';
import { longSecret } from './config/safe-url.ts';
import {
  CHECKPOINT,
  checkSigningSources,
  proofAlgorithm,
  readSigner,
  readSigning,
  refuseRemoteKeys,
  type SignerConfig,
  type SigningConfig,
} from './config/signing.ts';
import { CodedError } from './errors.ts';

export type RunEnvironment = 'production' | 'development' | 'test';

export interface ListenerConfig {
  readonly host: string;
  readonly port: number;
}

/** Everything the service needs to run, validated and frozen. */
export interface ServiceConfig {
  readonly environment: RunEnvironment;
  readonly logLevel: string;
  readonly api: ListenerConfig & {
    readonly certFile: string;
    readonly keyFile: string;
    readonly clientCaFile: string;
    readonly minVersion: 'TLSv1.3' | 'TLSv1.2';
  };
  readonly ops: ListenerConfig;
  readonly database: { readonly appUrl: string; readonly systemUrl: string; readonly poolSize: number };
  readonly identity: IdentityConfig & { readonly mapFile: string };
  readonly manifests: ManifestConfig;
  readonly signers: SigningConfig;
  /** Absent: no checkpoints are made here. */
  readonly checkpoints?: (CheckpointSettings & { readonly signer: SignerConfig }) | undefined;
  readonly limits: LimitsConfig;
  readonly runtime: RuntimeConfig;
  readonly auditSigningMode: 'event' | 'batch';
  readonly proofTtlDays: number;
  readonly opaBin: string | undefined;
  /** PATH: where an `opa` is looked for when none is named and none came with the packages. */
  readonly searchPath: string | undefined;
}

/** What `castellan dev` was told; it makes the rest of a ServiceConfig itself. */
export interface DevConfig {
  readonly service: Omit<ServiceConfig, 'database' | 'identity' | 'signers' | 'checkpoints' | 'api'> & {
    readonly api: ListenerConfig & { readonly minVersion: 'TLSv1.3' | 'TLSv1.2' };
    readonly identity: IdentityConfig;
    readonly proofAlgorithm: 'Ed25519' | 'HMAC-SHA256';
    readonly auditSignerId: string;
    readonly proofSignerId: string;
    readonly checkpointSignerId: string;
    readonly checkpoints: CheckpointSettings;
    readonly poolSize: number;
  };
  /** Unset: an embedded PostgreSQL. */
  readonly databaseUrl: string | undefined;
  readonly systemUrl: string | undefined;
  readonly ownerUrl: string | undefined;
  readonly dataDir: string;
  readonly certsDir: string;
}

/** Bad configuration: every problem, for stderr; the process ends with 78 and never listens. */
export class ConfigError extends CodedError {
  readonly code = 'BAD_CONFIGURATION';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`bad configuration:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`);
    this.problems = problems;
  }
}

/** Settings of `castellan serve`; production rules unless NODE_ENV says development or test. Throws ConfigError. */
export function loadServiceConfig(env: Environment, execArgv: readonly string[]): ServiceConfig {
  const read = new SettingsReader(env);
  const environment = runEnvironment(env, 'production');
  read.refuseUnknown();
  const shared = readShared(read, env);
  checkSigningSources(read, environment);
  if (environment === 'production') checkProduction(read, env, execArgv, shared);
  const config: ServiceConfig = {
    ...shared.common,
    environment,
    api: {
      ...shared.api,
      certFile: path(read.required('CASTELLAN_API_TLS_CERT_FILE')),
      keyFile: path(read.required('CASTELLAN_API_TLS_KEY_FILE')),
      clientCaFile: path(read.required('CASTELLAN_API_TLS_CLIENT_CA_FILE')),
    },
    database: {
      appUrl: read.required('DATABASE_URL'),
      systemUrl: read.required('CASTELLAN_DATABASE_SYSTEM_URL'),
      poolSize: shared.poolSize,
    },
    identity: { ...shared.identity, mapFile: path(read.required('CASTELLAN_IDENTITY_MAP_FILE')) },
    signers: readSigning(read),
    checkpoints: checkpoints(read, shared.checkpoints),
  };
  return finish(read, config);
}

/** Settings of `castellan dev`: development unless NODE_ENV says test, and refused under production rules. */
export function loadDevConfig(env: Environment): DevConfig {
  const read = new SettingsReader(env);
  const environment = runEnvironment(env, 'development');
  read.refuseUnknown();
  const shared = readShared(read, env);
  if (environment === 'production') {
    read.problem(
      'NODE_ENV: `castellan dev` generates its own keys and certificates and is not for production; use `serve`',
    );
    if (shared.identity.skipMtls) read.problem('DEV_SKIP_MTLS is not allowed in production');
  }
  checkSigningSources(read, environment);
  refuseRemoteKeys(read);
  const config: DevConfig = {
    service: {
      ...shared.common,
      environment,
      api: shared.api,
      identity: shared.identity,
      proofAlgorithm: proofAlgorithm(read),
      auditSignerId: read.required('AUDIT_SIGNER_KID'),
      proofSignerId: read.required('CASTELLAN_PROOF_SIGNER_KID'),
      checkpointSignerId: read.required('CASTELLAN_CHECKPOINT_SIGNER_KID'),
      checkpoints: shared.checkpoints,
      poolSize: shared.poolSize,
    },
    databaseUrl: read.text('DATABASE_URL'),
    systemUrl: read.text('CASTELLAN_DATABASE_SYSTEM_URL'),
    ownerUrl: read.text('CASTELLAN_DATABASE_OWNER_URL'),
    dataDir: path(read.required('CASTELLAN_DATA_DIR')),
    certsDir: path(read.required('CASTELLAN_CERTS_DIR')),
  };
  return finish(read, config);
}

export type DatabaseSetting = 'DATABASE_URL' | 'CASTELLAN_DATABASE_SYSTEM_URL' | 'CASTELLAN_DATABASE_OWNER_URL';

/** The one database login a subcommand needs, whatever else is set. Throws ConfigError. */
export function loadDatabaseUrl(env: Environment, name: DatabaseSetting): string {
  const read = new SettingsReader(env);
  return finish(read, { url: read.required(name) }).url;
}

/** What `audit stream` shows a receiver to be who it is. */
export interface StreamSecrets {
  /** Base64 of the shared secret. */
  readonly webhookSecret: string;
  readonly authorization: string | undefined;
}

/** The secrets of `audit stream` to a URL. Throws ConfigError. */
export function loadStreamSecrets(env: Environment): StreamSecrets {
  const read = new SettingsReader(env);
  read.required('CASTELLAN_STREAM_WEBHOOK_SECRET');
  const webhookSecret = longSecret(read, 'CASTELLAN_STREAM_WEBHOOK_SECRET') ?? '';
  const authorization = read.text('CASTELLAN_STREAM_AUTHORIZATION');
  if (authorization !== undefined && !/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(authorization)) {
    read.problem('CASTELLAN_STREAM_AUTHORIZATION is not the value of a header');
  }
  return finish(read, { webhookSecret, authorization });
}

function readShared(read: SettingsReader, env: Environment) {
  refuseAbsentFeatures(read);
  return {
    common: {
      logLevel: read.required('CASTELLAN_LOG_LEVEL'),
      ops: { host: read.required('CASTELLAN_OPS_HOST'), port: read.integer('CASTELLAN_OPS_PORT') },
      limits: readLimits(read),
      runtime: readRuntime(read),
      manifests: readManifests(read),
      auditSigningMode: read.text('CASTELLAN_AUDIT_SIGNING_MODE') === 'batch' ? ('batch' as const) : ('event' as const),
      proofTtlDays: read.integer('CASTELLAN_PROOF_TTL_DAYS'),
      opaBin: optionalPath(read.text('CASTELLAN_OPA_BIN')),
      searchPath: env['PATH'],
    },
    api: {
      host: read.required('CASTELLAN_API_HOST'),
      port: read.integer('CASTELLAN_API_PORT'),
      minVersion: read.text('CASTELLAN_API_TLS_MIN_VERSION') === '1.2' ? ('TLSv1.2' as const) : ('TLSv1.3' as const),
    },
    identity: readIdentity(read),
    poolSize: read.integer('CASTELLAN_DATABASE_POOL_SIZE'),
    checkpoints: readCheckpoints(read),
  };
}

/** The limits of a process that sets none. */
export function defaultLimits(): LimitsConfig {
  return readLimits(new SettingsReader({}));
}

/** Where a process that sets nothing runs agents. */
export function defaultRuntime(): RuntimeConfig {
  return readRuntime(new SettingsReader({}));
}

/** The rules in force; `unset`: those of a process without NODE_ENV. Any other name means production. */
export function runEnvironment(env: Environment, unset: RunEnvironment): RunEnvironment {
  const name = env['NODE_ENV'];
  if (name === undefined) return unset;
  return name === 'development' || name === 'test' ? name : 'production';
}

function checkProduction(
  read: SettingsReader,
  env: Environment,
  execArgv: readonly string[],
  shared: ReturnType<typeof readShared>,
): void {
  if (shared.identity.skipMtls) read.problem('DEV_SKIP_MTLS is not allowed in production');
  if (read.boolean('REQUIRE_KMS') === false) read.problem('REQUIRE_KMS cannot be false in production');
  if (env['NODE_TLS_REJECT_UNAUTHORIZED'] === '0')
    read.problem('NODE_TLS_REJECT_UNAUTHORIZED=0 turns TLS verification off');
  const options = [...execArgv, ...(env['NODE_OPTIONS'] ?? '').split(/\s+/)];
  if (options.some((option) => /^--inspect/.test(option))) read.problem('the inspector is on (--inspect)');
}

function refuseAbsentFeatures(read: SettingsReader): void {
  if (read.text('OPA_ENGINE_URL') !== undefined) read.problem('OPA_ENGINE_URL is not available in this version');
}

/** Without a key no checkpoints are made. */
function checkpoints(read: SettingsReader, settings: CheckpointSettings): ServiceConfig['checkpoints'] {
  if (!signsCheckpoints(read, settings)) return undefined;
  return { ...settings, signer: readSigner(read, CHECKPOINT) };
}

function path(value: string): string {
  return value === '' ? '' : resolve(value);
}

function optionalPath(value: string | undefined): string | undefined {
  return value === undefined ? undefined : resolve(value);
}

function finish<T extends object>(read: SettingsReader, config: T): T {
  if (read.problems.length > 0) throw new ConfigError([...new Set(read.problems)]);
  return Object.freeze(config);
}
