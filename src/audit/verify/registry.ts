import { readFile } from 'node:fs/promises';

import { VerifyError } from './errors.ts';

const ALGORITHMS = ['HMAC-SHA256', 'Ed25519', 'ECDSA-P256-SHA256', 'RSA-PSS-SHA256'] as const;
const STATES = ['pending', 'active', 'retiring', 'retired', 'revoked', 'compromised'] as const;

export type Algorithm = (typeof ALGORITHMS)[number];
type State = (typeof STATES)[number];

/** A registered signer. Times in ms since the epoch. Plain data: it is copied to the worker threads. */
export interface SignerEntry {
  readonly signerId: string;
  readonly alg: Algorithm;
  /** SPKI PEM; null for HMAC. */
  readonly publicKey: string | null;
  readonly purpose: string;
  readonly state: State;
  readonly notBefore: number | null;
  readonly notAfter: number | null;
  readonly revokedAt: number | null;
  /** Of a compromised signer: until when its word counts. */
  readonly trustedUpTo: number | null;
  /** Entries of the log of checkpoints: what they cover of a chain comes before the signer's events there … */
  readonly validFromSize: number | null;
  /** … and what these cover ends them. */
  readonly validToSize: number | null;
  readonly replaces: string | null;
}

export type Registry = ReadonlyMap<string, SignerEntry>;

/** A registry from entries in the form of signers.json. Throws VerifyError UNREADABLE for anything else. */
export function parseRegistry(entries: unknown): Registry {
  if (!Array.isArray(entries)) throw unreadable('"signers" is not a list');
  const registry = new Map<string, SignerEntry>();
  for (const value of entries) {
    const entry = parseEntry(value);
    if (registry.has(entry.signerId)) throw unreadable(`${entry.signerId} is listed twice`);
    registry.set(entry.signerId, entry);
  }
  return registry;
}

/** The registry in a signers.json, as `castellan signers export` prints it, and which version it says it is. */
export async function readRegistry(path: string): Promise<{ registry: Registry; version: number | undefined }> {
  let document: unknown;
  try {
    document = JSON.parse(await readFile(path, 'utf8'));
  } catch (cause) {
    throw new VerifyError('UNREADABLE', `cannot read the signers file ${path}`, cause);
  }
  const { signers, version } = isRecord(document) ? document : {};
  return { registry: parseRegistry(signers), version: typeof version === 'number' ? version : undefined };
}

function parseEntry(value: unknown): SignerEntry {
  if (!isRecord(value)) throw unreadable('an entry is no object');
  const { signerId, alg, publicKey, purpose, state } = value;
  if (typeof signerId !== 'string' || signerId === '') throw unreadable('an entry has no signerId');
  const algorithm = ALGORITHMS.find((name) => name === alg);
  if (algorithm === undefined) throw unreadable(`${signerId}: unknown alg`);
  if (publicKey !== null && publicKey !== undefined && typeof publicKey !== 'string') {
    throw unreadable(`${signerId}: publicKey is no PEM text`);
  }
  if (typeof purpose !== 'string') throw unreadable(`${signerId}: no purpose`);
  const known = STATES.find((name) => name === state);
  if (known === undefined) throw unreadable(`${signerId}: unknown state`);
  const replaces = value['replaces'] ?? null;
  if (replaces !== null && typeof replaces !== 'string') throw unreadable(`${signerId}: replaces is no signerId`);
  const texts = [signerId, publicKey ?? '', purpose, replaces ?? ''];
  if (!texts.every((text) => text.isWellFormed())) throw unreadable('an entry holds what is no Unicode text');
  return {
    signerId,
    alg: algorithm,
    publicKey: publicKey ?? null,
    purpose,
    state: known,
    notBefore: time(value['notBefore'], signerId),
    notAfter: time(value['notAfter'], signerId),
    revokedAt: time(value['revokedAt'], signerId),
    trustedUpTo: time(value['trustedUpTo'], signerId),
    validFromSize: size(value['validFromSize'], signerId),
    validToSize: size(value['validToSize'], signerId),
    replaces,
  };
}

function time(value: unknown, signerId: string): number | null {
  if (value === null || value === undefined) return null;
  const ms = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(ms)) throw unreadable(`${signerId}: a date is not RFC 3339`);
  return ms;
}

function size(value: unknown, signerId: string): number | null {
  if (value === null || value === undefined) return null;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw unreadable(`${signerId}: a size is no number of entries`);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function unreadable(detail: string): VerifyError {
  return new VerifyError('UNREADABLE', `the signer registry is not of its form: ${detail}`);
}
