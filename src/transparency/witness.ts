import { decodeBase64 } from '../crypto/base64.ts';
import { parseCheckpoint, parseSize } from './checkpoint.ts';
import { TransparencyError } from './errors.ts';
import { isHash } from './merkle.ts';
import { decodeText, parseNote, parseSignatureLines } from './note.ts';
import type { NoteKey } from './note-key.ts';
import { type VerifiedSignature, verifyLines } from './open-note.ts';
import { isSize } from './tree-nodes.ts';

const MAX_PROOF_LINES = 63;
const SIZE_TYPE = /^text\/x\.tlog\.size\s*(?:;|$)/i;

/** The body of POST <prefix>/add-checkpoint (C2SP tlog-witness). */
export interface AddCheckpoint {
  /** Of the checkpoint this witness cosigned last; 0 for none. */
  readonly oldSize: number;
  /** From that size to the checkpoint's. */
  readonly proof: readonly Uint8Array[];
  /** The signed note. */
  readonly note: string;
}

/** An answer as it came; the body already bounded by whoever read it. */
export interface WitnessReply {
  readonly status: number;
  readonly contentType: string | undefined;
  readonly body: Uint8Array | string;
}

export type WitnessAnswer =
  | { readonly kind: 'cosigned'; readonly cosignatures: readonly VerifiedSignature[] }
  /** The witness last saw this size: ask again with a proof from there, unless the log was never so large. */
  | { readonly kind: 'conflict'; readonly size: number }
  | { readonly kind: 'refused'; readonly why: 'bad-request' | 'untrusted-key' | 'unknown-log' | 'inconsistent' }
  /** Any other status: worth another try. */
  | { readonly kind: 'unavailable'; readonly status: number };

const REFUSALS = new Map([
  [400, 'bad-request'],
  [403, 'untrusted-key'],
  [404, 'unknown-log'],
  [422, 'inconsistent'],
] as const);

/** The request body. Throws MALFORMED or OUT_OF_RANGE for one that a witness must refuse unseen. */
export function formatAddCheckpoint({ oldSize, proof, note }: AddCheckpoint): string {
  const { size } = parseCheckpoint(parseNote(note).text);
  if (!isSize(oldSize) || oldSize > size)
    throw new TransparencyError('OUT_OF_RANGE', 'the old size is past the new one');
  if (proof.length > MAX_PROOF_LINES || !proof.every(isHash)) throw malformed('proof is too long or not of hashes');
  if (oldSize === 0 && proof.length > 0) throw malformed('from an empty tree takes no proof');
  const lines = [`old ${oldSize}`, ...proof.map((hash) => Buffer.from(hash).toString('base64'))];
  return `${lines.join('\n')}\n\n${note}`;
}

/** The request as a witness reads it; whether it is signed and consistent is not looked at. Throws MALFORMED. */
export function parseAddCheckpoint(data: Uint8Array | string): AddCheckpoint {
  const body = decodeText(data);
  const split = body.indexOf('\n\n');
  const [first = '', ...lines] = body.slice(0, Math.max(split, 0)).split('\n');
  const oldSize = first.startsWith('old ') ? parseSize(first.slice('old '.length)) : undefined;
  const proof = lines.flatMap((line) => {
    const hash = decodeBase64(line);
    return isHash(hash) ? [hash] : [];
  });
  if (oldSize === undefined || proof.length !== lines.length || lines.length > MAX_PROOF_LINES) {
    throw malformed('does not begin with an old size and a proof');
  }
  const note = body.slice(split + 2);
  if (parseCheckpoint(parseNote(note).text).size < oldSize) throw malformed('has an old size past the new one');
  return { oldSize, proof, note };
}

/**
 * What a witness answered about the checkpoint `note`. Throws MALFORMED for an answer out of the protocol, NOTE_UNSIGNED when none
 * of `keys` cosigned, NOTE_SIGNATURE_WRONG when one of them is said to have and did not.
 */
export function readWitnessReply(reply: WitnessReply, note: string, keys: readonly NoteKey[]): WitnessAnswer {
  if (reply.status === 200) return { kind: 'cosigned', cosignatures: cosignaturesIn(reply.body, note, keys) };
  if (reply.status === 409) return { kind: 'conflict', size: conflictingSize(reply) };
  for (const [status, why] of REFUSALS) if (status === reply.status) return { kind: 'refused', why };
  return { kind: 'unavailable', status: reply.status };
}

function cosignaturesIn(
  body: Uint8Array | string,
  note: string,
  keys: readonly NoteKey[],
): readonly VerifiedSignature[] {
  const witnesses = keys.filter(({ type }) => type === 'cosignature/v1');
  const { text } = parseNote(note);
  const { verified } = verifyLines({ text, signatures: parseSignatureLines(body) }, witnesses);
  if (verified.length === 0) throw new TransparencyError('NOTE_UNSIGNED', 'no known witness has cosigned');
  return verified;
}

function conflictingSize({ contentType, body }: WitnessReply): number {
  const text = decodeText(body);
  const size = text.endsWith('\n') ? parseSize(text.slice(0, -1)) : undefined;
  if (!SIZE_TYPE.test(contentType ?? '') || size === undefined) throw malformed('names no size in a conflict');
  return size;
}

function malformed(why: string): TransparencyError {
  return new TransparencyError('MALFORMED', `the exchange with a witness ${why}`);
}
