import { IDENTITY_SETTINGS } from './identity-settings.ts';
import { RUNTIME_SETTINGS } from './runtime-settings.ts';

/** How a setting's text is read. Every kind refuses what it cannot read; nothing falls back to a default. */
export type SettingKind = 'text' | 'path' | 'url' | 'port' | 'integer' | 'boolean';

export interface Setting {
  readonly kind: SettingKind;
  readonly doc: string;
  /** Also read from the file named by `<NAME>_FILE`; masked wherever settings are shown. */
  readonly secret?: true;
  readonly default?: string;
  readonly oneOf?: readonly string[];
  readonly min?: number;
  readonly max?: number;
}

const KEY_SOURCES = ['local', 'kms', 'proxy', 'pkcs11'] as const;

/** Every environment variable Castellan reads (contract §13), with its default. Any other CASTELLAN_ variable is an error. */
export const SETTINGS = {
  NODE_ENV: {
    kind: 'text',
    doc: 'production, development or test; unset: production rules for serve; any other value: production rules.',
  },
  DATABASE_URL: {
    kind: 'url',
    secret: true,
    doc: 'Login of the app role. Unset with `castellan dev`: an embedded PostgreSQL is started.',
  },
  CASTELLAN_DATABASE_SYSTEM_URL: { kind: 'url', secret: true, doc: 'Login of the system role (jobs, look-ups).' },
  CASTELLAN_DATABASE_OWNER_URL: {
    kind: 'url',
    secret: true,
    doc: 'Login that may become castellan_owner; used by `migrate` and `dev` only.',
  },
  CASTELLAN_DATABASE_POOL_SIZE: {
    kind: 'integer',
    default: '16',
    min: 4,
    max: 200,
    doc: 'Connections of the app pool.',
  },
  CASTELLAN_API_HOST: { kind: 'text', default: '127.0.0.1', doc: 'Address of the API listener.' },
  CASTELLAN_API_PORT: { kind: 'port', default: '8443', doc: 'Port of the API listener; 0: any free one.' },
  CASTELLAN_API_TLS_CERT_FILE: { kind: 'path', doc: 'Server certificate chain (PEM).' },
  CASTELLAN_API_TLS_KEY_FILE: { kind: 'path', doc: 'Server private key (PEM).' },
  CASTELLAN_API_TLS_CLIENT_CA_FILE: { kind: 'path', doc: 'CA bundle that client certificates must chain to (PEM).' },
  CASTELLAN_API_TLS_MIN_VERSION: {
    kind: 'text',
    default: '1.3',
    oneOf: ['1.3', '1.2'],
    doc: 'Lowest TLS version accepted.',
  },
  CASTELLAN_OPS_HOST: {
    kind: 'text',
    default: '127.0.0.1',
    doc: 'Address of the ops listener (no client certificate).',
  },
  CASTELLAN_OPS_PORT: { kind: 'port', default: '9464', doc: 'Port of the ops listener; 0: any free one.' },
  ...IDENTITY_SETTINGS,
  ...RUNTIME_SETTINGS,
  AUDIT_SIGNING_KEY_SOURCE: { kind: 'text', default: 'local', oneOf: KEY_SOURCES, doc: 'Where the audit key is kept.' },
  AUDIT_SIGNING_KMS_KEY_ID: { kind: 'text', doc: 'KMS key of the audit signer, by its full ARN (kms).' },
  CASTELLAN_AUDIT_SIGNING_PKCS11_KEY: {
    kind: 'text',
    doc: 'Key of the audit signer in the HSM (pkcs11): its label, or id: and its CKA_ID in hex.',
  },
  AUDIT_SIGNER_KID: { kind: 'text', default: 'castellan-audit-1', doc: 'signerId of the audit signer.' },
  CASTELLAN_AUDIT_SIGNING_KEY_FILE: { kind: 'path', doc: 'Ed25519 private key (PKCS#8 PEM) of a local audit signer.' },
  CASTELLAN_AUDIT_SIGNING_MODE: {
    kind: 'text',
    default: 'event',
    oneOf: ['event', 'batch'],
    doc: 'event: a signature for each audit event. batch: one for all events of a transaction.',
  },
  CASTELLAN_PROOF_SIGNING_KEY_SOURCE: {
    kind: 'text',
    default: 'local',
    oneOf: KEY_SOURCES,
    doc: 'Where the proof key is kept.',
  },
  CASTELLAN_PROOF_SIGNING_KMS_KEY_ID: { kind: 'text', doc: 'KMS key of the proof signer, by its full ARN (kms).' },
  CASTELLAN_PROOF_SIGNING_PKCS11_KEY: {
    kind: 'text',
    doc: 'Key of the proof signer in the HSM (pkcs11): its label, or id: and its CKA_ID in hex.',
  },
  CASTELLAN_PROOF_SIGNING_ALG: {
    kind: 'text',
    default: 'Ed25519',
    oneOf: ['Ed25519', 'HMAC-SHA256'],
    doc: 'HMAC-SHA256 is a shared key, no evidence for a third party, and refused in production.',
  },
  CASTELLAN_PROOF_SIGNING_KEY_FILE: { kind: 'path', doc: 'Ed25519 private key (PKCS#8 PEM) of a local proof signer.' },
  CASTELLAN_PROOF_SIGNING_HMAC_SECRET: {
    kind: 'text',
    secret: true,
    doc: 'Base64 of at least 32 bytes, for HMAC-SHA256 proofs.',
  },
  CASTELLAN_PROOF_SIGNER_KID: { kind: 'text', default: 'castellan-proof-1', doc: 'signerId of the proof signer.' },
  CASTELLAN_PROOF_TTL_DAYS: { kind: 'integer', default: '90', min: 1, max: 3650, doc: 'Life of a proof in days.' },
  CASTELLAN_CHECKPOINT_SIGNING_KEY_SOURCE: {
    kind: 'text',
    default: 'local',
    oneOf: KEY_SOURCES,
    doc: 'Where the checkpoint key is kept.',
  },
  CASTELLAN_CHECKPOINT_SIGNING_KEY_FILE: {
    kind: 'path',
    doc: 'Ed25519 private key (PKCS#8 PEM) of a local checkpoint signer. `serve`: without it no checkpoints are made.',
  },
  CASTELLAN_CHECKPOINT_SIGNING_KMS_KEY_ID: {
    kind: 'text',
    doc: 'KMS key of the checkpoint signer, by its full ARN (kms); an Ed25519 key.',
  },
  CASTELLAN_CHECKPOINT_SIGNING_PKCS11_KEY: {
    kind: 'text',
    doc: 'Key of the checkpoint signer in the HSM (pkcs11): its label, or id: and its CKA_ID in hex; an Ed25519 key.',
  },
  CASTELLAN_CHECKPOINT_SIGNER_KID: {
    kind: 'text',
    default: 'castellan-checkpoint-1',
    doc: 'signerId of the checkpoint signer.',
  },
  CASTELLAN_CHECKPOINT_ORIGIN: {
    kind: 'text',
    default: 'castellan',
    doc: 'Name of the log in its notes, without a schema, such as log.example.org/castellan. Choose it once.',
  },
  CASTELLAN_CHECKPOINT_INTERVAL_SECONDS: {
    kind: 'integer',
    default: '10',
    min: 1,
    max: 3600,
    doc: 'Seconds between checkpoints while there are events; without any there is one an hour.',
  },
  CASTELLAN_CHECKPOINT_SINK_DIR: {
    kind: 'path',
    doc: 'Directory that gets each note, best one that the operator of the database cannot write to.',
  },
  CASTELLAN_CHECKPOINT_S3_URL: {
    kind: 'url',
    doc: 'Endpoint, bucket and prefix of a bucket with object lock, such as https://s3.eu-central-1.amazonaws.com/bucket/prefix.',
  },
  CASTELLAN_CHECKPOINT_S3_REGION: { kind: 'text', default: 'us-east-1', doc: 'Region of the bucket.' },
  CASTELLAN_CHECKPOINT_S3_ACCESS_KEY_ID: {
    kind: 'text',
    doc: "Unset, as the secret: the AWS SDK's default chain finds the credentials.",
  },
  CASTELLAN_CHECKPOINT_S3_SECRET_ACCESS_KEY: { kind: 'text', secret: true, doc: 'Secret of that access key.' },
  CASTELLAN_CHECKPOINT_S3_LOCK_MODE: {
    kind: 'text',
    default: 'COMPLIANCE',
    oneOf: ['COMPLIANCE', 'GOVERNANCE'],
    doc: 'Object lock of each note; COMPLIANCE: nobody can take it back.',
  },
  CASTELLAN_CHECKPOINT_S3_RETENTION_DAYS: {
    kind: 'integer',
    default: '365',
    min: 1,
    max: 36_500,
    doc: 'Days that each note is locked.',
  },
  CASTELLAN_CHECKPOINT_WEBHOOK_URL: {
    kind: 'url',
    doc: 'Address that each note is POSTed to, signed (Standard Webhooks).',
  },
  CASTELLAN_CHECKPOINT_WEBHOOK_SECRET: {
    kind: 'text',
    secret: true,
    doc: 'Base64 of at least 32 bytes: the key of the HMAC-SHA256 in webhook-signature.',
  },
  CASTELLAN_CHECKPOINT_WITNESSES: {
    kind: 'text',
    default: '',
    doc: 'C2SP witnesses, comma separated, each its verifier key (name+hash+key), a space and the URL before /add-checkpoint.',
  },
  CASTELLAN_STREAM_WEBHOOK_SECRET: {
    kind: 'text',
    secret: true,
    doc: '`audit stream` to a URL: base64 of at least 32 bytes, the key of the HMAC-SHA256 in webhook-signature.',
  },
  CASTELLAN_STREAM_AUTHORIZATION: {
    kind: 'text',
    secret: true,
    doc: '`audit stream` to a URL: what is sent as the Authorization header, scheme included.',
  },
  REQUIRE_KMS: {
    kind: 'boolean',
    doc: 'true: audit, proof and checkpoint keys must be in kms, proxy or pkcs11, in every environment.',
  },
  SIGNING_PROXY_URL: {
    kind: 'url',
    doc: 'Signing proxy (https), for keys whose source is proxy. See docs/signing-proxy.md.',
  },
  CASTELLAN_SIGNING_PROXY_CA_FILE: {
    kind: 'path',
    doc: 'CA certificates (PEM) of the signing proxy; unset: those of Node.',
  },
  CASTELLAN_SIGNING_PROXY_CERT_FILE: { kind: 'path', doc: 'Client certificate (PEM) for the signing proxy.' },
  CASTELLAN_SIGNING_PROXY_KEY_FILE: { kind: 'path', doc: 'Private key (PEM) of that certificate.' },
  CASTELLAN_SIGNING_PROXY_API_KEY: {
    kind: 'text',
    secret: true,
    doc: 'API key for the signing proxy, instead of a client certificate or beside it.',
  },
  CASTELLAN_KMS_ENDPOINT: {
    kind: 'url',
    doc: 'Endpoint of the KMS instead of the one of the region in the ARN. Credentials come from the chain of the AWS SDK.',
  },
  CASTELLAN_KMS_CA_FILE: { kind: 'path', doc: 'CA certificates (PEM) of that endpoint; unset: those of Node.' },
  CASTELLAN_PKCS11_MODULE: {
    kind: 'path',
    doc: "The HSM vendor's PKCS#11 library, for keys whose source is pkcs11.",
  },
  CASTELLAN_PKCS11_TOKEN_LABEL: { kind: 'text', doc: 'Label of the token with these keys.' },
  CASTELLAN_PKCS11_PIN: { kind: 'text', secret: true, doc: 'User PIN of that token.' },
  CASTELLAN_SIGNING_QUOTA_PER_SECOND: {
    kind: 'integer',
    default: '1000',
    min: 10,
    max: 1_000_000,
    doc: 'Signatures a second that kms, proxy or pkcs11 allow this replica, all its keys together; it uses 80 % of them.',
  },
  OPA_ENGINE_URL: { kind: 'url', doc: 'External OPA server. Not available in this version: refused when set.' },
  CASTELLAN_OPA_BIN: { kind: 'path', doc: 'The OPA executable that compiles policies.' },
  CASTELLAN_LIMITS_PRINCIPAL_RATE: {
    kind: 'integer',
    default: '2000',
    min: 1,
    max: 1_000_000,
    doc: 'Requests a second one principal may send for long, stops and the like apart.',
  },
  CASTELLAN_LIMITS_PRINCIPAL_BURST: {
    kind: 'integer',
    default: '4000',
    min: 1,
    max: 1_000_000,
    doc: 'Requests a principal may send at once after a pause.',
  },
  CASTELLAN_LIMITS_WORKSPACE_RATE: {
    kind: 'integer',
    default: '2000',
    min: 1,
    max: 1_000_000,
    doc: 'Requests a second to one workspace, whoever sends them.',
  },
  CASTELLAN_LIMITS_WORKSPACE_BURST: {
    kind: 'integer',
    default: '4000',
    min: 1,
    max: 1_000_000,
    doc: 'Requests to one workspace at once after a pause.',
  },
  CASTELLAN_LIMITS_BRAKE_RATE: {
    kind: 'integer',
    default: '2000',
    min: 1,
    max: 1_000_000,
    doc: 'Stops, quarantines and revocations a second, per principal and per workspace; counted apart from all else.',
  },
  CASTELLAN_LIMITS_BRAKE_BURST: {
    kind: 'integer',
    default: '10000',
    min: 1,
    max: 1_000_000,
    doc: 'Stops, quarantines and revocations at once after a pause.',
  },
  CASTELLAN_LIMITS_IN_FLIGHT_READS: {
    kind: 'integer',
    default: '64',
    min: 1,
    max: 4096,
    doc: 'Reads under way at once; one workspace has at most half of them.',
  },
  CASTELLAN_LIMITS_IN_FLIGHT_WRITES: {
    kind: 'integer',
    default: '128',
    min: 1,
    max: 4096,
    doc: 'Changes under way at once; one workspace has at most half of them.',
  },
  CASTELLAN_LIMITS_IN_FLIGHT_BRAKES: {
    kind: 'integer',
    default: '64',
    min: 1,
    max: 4096,
    doc: 'Stops, quarantines and revocations under way at once.',
  },
  CASTELLAN_LIMITS_MAX_WAITING: {
    kind: 'integer',
    default: '512',
    max: 4096,
    doc: 'Requests of each of these three kinds that may wait for a place, workspaces in turn.',
  },
  CASTELLAN_LIMITS_MAX_WAIT_MS: {
    kind: 'integer',
    default: '1000',
    min: 1,
    max: 10_000,
    doc: 'Ms a request waits for a place before it is refused.',
  },
  CASTELLAN_LIMITS_LATENCY_MS: {
    kind: 'integer',
    default: '250',
    min: 10,
    max: 10_000,
    doc: 'Mean ms of a request from which, in a crowd, fewer are let in at once, down to a quarter.',
  },
  CASTELLAN_LIMITS_EVENT_LOOP_DELAY_MS: {
    kind: 'integer',
    default: '100',
    min: 10,
    max: 60_000,
    doc: 'Mean lateness of the event loop from which reads, then changes, are refused in part.',
  },
  CASTELLAN_DATA_DIR: { kind: 'path', default: '.castellan', doc: '`dev`: embedded database and generated keys.' },
  CASTELLAN_CERTS_DIR: { kind: 'path', default: 'certs', doc: '`dev`: generated certificates.' },
  CASTELLAN_LOG_LEVEL: {
    kind: 'text',
    default: 'info',
    oneOf: ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'],
    doc: 'Least level that is logged.',
  },
} as const satisfies Record<string, Setting>;

export type SettingName = keyof typeof SETTINGS;
