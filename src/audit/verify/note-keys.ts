import { createHash, createPublicKey } from 'node:crypto';

import { type NoteKey, parseVerifierKey } from '../../transparency/note-key.ts';
import type { Registry, SignerEntry } from './registry.ts';

const ED25519_TYPE = Buffer.from([1]);
const RAW_BYTES = 32;

/**
 * The registered signers of checkpoints as keys of the log `origin`. `vouching`: only those whose word about a checkpoint from
 * outside counts; a note has no time of its own, so one by a key that was revoked later cannot be told from a forgery.
 */
export function registeredNoteKeys(registry: Registry, origin: string, use: 'stored' | 'vouching'): NoteKey[] {
  return Array.from(registry.values()).flatMap((entry) => {
    if (entry.purpose !== 'checkpoint' || !mayVouch(entry, use)) return [];
    const raw = rawKey(entry);
    if (raw === undefined) return [];
    try {
      return [parseVerifierKey(verifierKey(origin, raw))];
    } catch {
      return []; // an origin that no key can have signed under
    }
  });
}

function mayVouch({ state }: SignerEntry, use: 'stored' | 'vouching'): boolean {
  if (state === 'pending') return false;
  return use === 'stored' || (state !== 'revoked' && state !== 'compromised');
}

/** `name+hash+key` (C2SP signed-note) under which the log's origin and this key sign. */
function verifierKey(name: string, raw: Buffer): string {
  const key = Buffer.concat([ED25519_TYPE, raw]);
  const id = createHash('sha256').update(`${name}\n`).update(key).digest().subarray(0, 4);
  return `${name}+${id.toString('hex')}+${key.toString('base64')}`;
}

/** The 32 bytes of RFC 8032, at the end of the SPKI encoding; undefined for a key that is not Ed25519. */
function rawKey({ alg, publicKey }: SignerEntry): Buffer | undefined {
  if (alg !== 'Ed25519' || publicKey === null) return undefined;
  try {
    const key = createPublicKey({ key: publicKey, format: 'pem', type: 'spki' });
    return key.asymmetricKeyType === 'ed25519'
      ? key.export({ format: 'der', type: 'spki' }).subarray(-RAW_BYTES)
      : undefined;
  } catch {
    return undefined;
  }
}
