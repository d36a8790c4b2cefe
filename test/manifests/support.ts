import assert from 'node:assert/strict';
import { constants, createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import canonicalize from 'canonicalize';
import type { Test } from 'tap';
import { v7 } from 'uuid';

import type { Answer } from '../support/service.ts';
import type { World } from '../system/support/world.ts';

export type Alg = 'Ed25519' | 'ECDSA-P256-SHA256' | 'RSA-PSS-SHA256';

/** A key that signs manifests, made and used without the code under test. */
export interface ManifestKey {
  readonly signerId: string;
  readonly alg: Alg;
  readonly publicKey: string;
  readonly privateKey: KeyObject;
}

export interface Manifest {
  readonly v: number;
  readonly manifestId: string;
  readonly agentConfigHash: string;
  readonly issuedAt: string;
  readonly expiresAt: string;
  readonly audience: string;
}

export interface Envelope {
  readonly manifest: Manifest;
  readonly manifestSignature: string;
  readonly manifestSignatureId: string;
  readonly manifestHash: string;
}

export const MINUTE = 60_000;

/** An agent of the profile that needs a manifest. */
export const SPEC = { name: 'courier', profile: 'illuvrse', capabilities: ['search'] };

export function newKey(alg: Alg = 'Ed25519', signerId = `kernel-${v7()}`): ManifestKey {
  const { publicKey, privateKey } = pairOf(alg);
  return { signerId, alg, privateKey, publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString() };
}

/** What POST /v1/signers is sent for a key. */
export function registration({ signerId, alg, publicKey }: ManifestKey, purpose = 'manifest') {
  return { signerId, alg, publicKey, purpose };
}

/** Has the registry trust a new key for manifests. */
export async function trustedKey(world: World, alg: Alg = 'Ed25519'): Promise<ManifestKey> {
  const key = newKey(alg);
  await world.expect(201, 'kernel-admin', 'POST', '/v1/signers', registration(key));
  return key;
}

export function digest(value: unknown): string {
  return `sha256:${createHash('sha256').update(canonical(value)).digest('hex')}`;
}

/** In force for an hour from now on. */
export function manifestFor(world: World, spec: object, changed: Partial<Manifest> = {}): Manifest {
  return {
    v: 1,
    manifestId: v7(),
    agentConfigHash: digest(spec),
    issuedAt: new Date(world.now()).toISOString(),
    expiresAt: new Date(world.now() + 60 * MINUTE).toISOString(),
    audience: 'castellan',
    ...changed,
  };
}

export function seal(key: ManifestKey, manifest: object, changed: Record<string, unknown> = {}): Envelope {
  const bytes = Buffer.from(canonical(manifest));
  const envelope = {
    manifest,
    manifestSignature: signed(key, bytes).toString('base64'),
    manifestSignatureId: key.signerId,
    manifestHash: digest(manifest),
    ...changed,
  };
  // Some are made wrong on purpose.
  return envelope as Envelope;
}

export function envelopeFor(world: World, key: ManifestKey, spec: object, changed: Partial<Manifest> = {}): Envelope {
  return seal(key, manifestFor(world, spec, changed));
}

export function signed({ alg, privateKey }: Pick<ManifestKey, 'alg' | 'privateKey'>, bytes: Buffer): Buffer {
  if (alg === 'Ed25519') return sign(null, bytes, privateKey);
  if (alg === 'ECDSA-P256-SHA256') return lowS(() => sign('sha256', bytes, privateKey));
  return sign('sha256', bytes, { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 });
}

export function canonical(value: unknown): string {
  const text = canonicalize(value);
  assert(text !== undefined);
  return text;
}

/** What is stored beside the audit: agents and manifests. */
export async function stored(world: World, workspaceId = 'demo'): Promise<{ agents: number; manifests: number }> {
  const { rows } = await world.database.query(
    `SELECT (SELECT count(*)::int FROM agents WHERE workspace_id = $1) AS agents,
       (SELECT count(*)::int FROM accepted_manifests WHERE workspace_id = $1) AS manifests`,
    [workspaceId],
  );
  return rows[0];
}

/** The answer to a request that a manifest came with: refused with that code, audited, and nothing stored. */
export async function refused(
  t: Test,
  world: World,
  wanted: { readonly status: number; readonly code: string },
  ask: () => Promise<Answer>,
): Promise<{ readonly answer: Answer; readonly payload: Readonly<Record<string, unknown>> }> {
  const { result, events } = await world.eventsOf(() => world.changesOf(ask));
  const answer = result.result;
  t.equal(answer.body.code, wanted.code, answer.text);
  t.equal(answer.status, wanted.status, answer.text);
  t.same(result.changed, [], 'nothing is stored');
  t.same(
    events.map(({ type }) => type),
    ['manifest.rejected'],
  );
  const payload = events[0]?.payload ?? {};
  t.equal(payload['code'], wanted.code);
  return { answer, payload };
}

function pairOf(alg: Alg) {
  if (alg === 'Ed25519') return generateKeyPairSync('ed25519');
  if (alg === 'ECDSA-P256-SHA256') return generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  return generateKeyPairSync('rsa', { modulusLength: 2048 });
}

/** Half of all signatures have the low S that is asked for; its sign bit tells in most of them, and its length in the rest. */
function lowS(make: () => Buffer): Buffer {
  for (;;) {
    const der = make();
    const s = der.subarray(6 + (der[3] ?? 0));
    // Below 2^255 and not just below: half of the order begins with 7f.
    if (s.length === 32 && (s[0] ?? 255) < 0x7f) return der;
  }
}
