import type { Setting } from './settings.ts';

/** The settings of who may call, and of whose agents are believed. */
export const IDENTITY_SETTINGS = {
  CASTELLAN_IDENTITY_MAP_FILE: { kind: 'path', doc: 'JSON map from SPIFFE id or CN to principal, roles, workspaces.' },
  CASTELLAN_IDENTITY_TRUST_DOMAIN: { kind: 'text', default: 'castellan.dev', doc: 'SPIFFE trust domain.' },
  CASTELLAN_IDENTITY_ALLOW_CN: {
    kind: 'boolean',
    default: 'false',
    doc: 'Accept a certificate without a URI SAN by its common name.',
  },
  CASTELLAN_IDENTITY_REVOKED_SERIALS: {
    kind: 'text',
    default: '',
    doc: 'Client certificates refused, by serial number (hex, comma separated).',
  },
  CASTELLAN_IDENTITY_REVOKED_SERIALS_FILE: {
    kind: 'path',
    doc: 'File with further serial numbers, one a line, read again when it changes.',
  },
  CASTELLAN_IDENTITY_CRL_FILES: {
    kind: 'text',
    default: '',
    doc: 'Certificate revocation lists (PEM or DER), comma separated paths, read again when they change. With any, every issuer of a client needs one in force.',
  },
  CASTELLAN_IDENTITY_OCSP: {
    kind: 'text',
    default: 'off',
    oneOf: ['off', 'require'],
    doc: 'require: a client certificate counts only while an OCSP responder says that it is good.',
  },
  CASTELLAN_IDENTITY_OCSP_URL: {
    kind: 'url',
    doc: 'OCSP responder to ask instead of the one that the certificate names.',
  },
  CASTELLAN_IDENTITY_RELOAD_MS: {
    kind: 'integer',
    default: '1000',
    min: 100,
    max: 3000,
    doc: 'Ms between two looks at certificates, trust bundle, identity map, revocation lists and token issuers.',
  },
  DEV_SKIP_MTLS: {
    kind: 'boolean',
    default: 'false',
    doc: 'Development only: the client certificate is optional on loopback; without one the caller is the operator `dev`.',
  },
  CASTELLAN_MESH_PROXY_IDENTITIES: {
    kind: 'text',
    default: '',
    doc: 'SPIFFE IDs of proxies, comma separated, whose x-forwarded-client-cert says who calls. Empty: the header is refused.',
  },
  CASTELLAN_TOKEN_ISSUERS_FILE: {
    kind: 'path',
    doc: 'JSON list of OpenID and OAuth issuers whose tokens are accepted. Unset: no token is.',
  },
  CASTELLAN_TOKEN_CA_FILE: { kind: 'path', doc: 'CA certificates (PEM) of those issuers; unset: those of Node.' },
  CASTELLAN_TOKEN_CLOCK_TOLERANCE_SECONDS: {
    kind: 'integer',
    default: '30',
    max: 60,
    doc: "Seconds by which an issuer's clock may differ.",
  },
  CASTELLAN_HUMAN_HOST: { kind: 'text', default: '127.0.0.1', doc: 'Address of the listener for humans.' },
  CASTELLAN_HUMAN_PORT: {
    kind: 'port',
    doc: 'Port of a listener that takes tokens of humans without a client certificate; 0: any free one. Unset: there is none.',
  },
  CASTELLAN_HUMAN_TLS_CERT_FILE: { kind: 'path', doc: "Its certificate chain (PEM); unset: the API listener's." },
  CASTELLAN_HUMAN_TLS_KEY_FILE: { kind: 'path', doc: "Its private key (PEM); unset: the API listener's." },
  CASTELLAN_BREAK_GLASS_MAX_MINUTES: {
    kind: 'integer',
    default: '60',
    min: 1,
    max: 1440,
    doc: 'Longest elevation that POST /v1/break-glass grants.',
  },
  CASTELLAN_MANIFEST_AUDIENCE: {
    kind: 'text',
    default: 'castellan',
    doc: 'The `audience` a manifest must name.',
  },
  CASTELLAN_KERNEL_API_URL: {
    kind: 'url',
    doc: "The Kernel's API, asked for manifest signers that the registry does not have. Unset: the registry alone counts.",
  },
  CASTELLAN_KERNEL_API_CA_FILE: { kind: 'path', doc: 'CA certificates (PEM) of that API; unset: those of Node.' },
  CASTELLAN_KERNEL_API_CERT_FILE: { kind: 'path', doc: 'Client certificate (PEM) for that API.' },
  CASTELLAN_KERNEL_API_KEY_FILE: { kind: 'path', doc: 'Private key (PEM) of that certificate.' },
  CASTELLAN_KERNEL_API_TOKEN: { kind: 'text', secret: true, doc: 'Bearer token for that API.' },
  CASTELLAN_KERNEL_API_CACHE_SECONDS: {
    kind: 'integer',
    default: '60',
    min: 1,
    max: 3600,
    doc: 'Seconds an answer of that API counts.',
  },
  CASTELLAN_LIMITS_ROLE_RATES: {
    kind: 'text',
    default: '',
    doc: 'Lower ceilings for principals by role, comma separated, such as agent=50,auditor=200: requests a second, twice that at once. Of several roles the highest counts; a role that is not named has the general one.',
  },
} as const satisfies Record<string, Setting>;
