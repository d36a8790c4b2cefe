import { leafHash } from '../../transparency/merkle.ts';
import { type BatchPlace, rootAbove } from './batch-place.ts';

const HASH = /^[0-9a-f]{64}$/;
const EVENT = prefixOf('application/vnd.castellan.audit-event.v1');
const BATCH = prefixOf('application/vnd.castellan.audit-batch.v1');

/** A signature and the digests it may vouch for: the stored hash and, when that is not the body's, the body's own. */
export interface SignatureTask {
  readonly signerId: string;
  readonly signature: string;
  readonly hash: string;
  readonly bodyHash: string;
  /** Of a batch: the event's place in it. The path as latin1: a string is handed to a thread for less than a buffer. */
  readonly batch?: { readonly index: number; readonly size: number; readonly path: string } | undefined;
}

/** What a signature may be over. */
export interface Candidate {
  readonly over: 'hash' | 'body';
  readonly message: Buffer;
  /** Other events are likely to have the same message and the same signature. */
  readonly shared: boolean;
}

/** The messages that a signature of the task's mode may be over, the stored hash's first; none when its path leads nowhere. */
export function candidatesOf({ hash, bodyHash, batch }: SignatureTask): Candidate[] {
  const place = batch === undefined ? undefined : { ...batch, path: Buffer.from(batch.path, 'latin1') };
  const candidates: Candidate[] = [];
  const add = (over: Candidate['over'], digest: string) => {
    // Another spelling of the same 32 bytes is not the hash that was stored.
    const message = HASH.test(digest) ? messageOf(Buffer.from(digest, 'hex'), place) : undefined;
    if (message !== undefined) candidates.push({ over, message, shared: place !== undefined });
  };
  add('hash', hash);
  if (bodyHash !== hash) add('body', bodyHash);
  return candidates;
}

function messageOf(digest: Buffer, place: BatchPlace | undefined): Buffer | undefined {
  if (place === undefined) return Buffer.concat([EVENT, digest]);
  const root = rootAbove(leafHash(digest), place);
  return root === undefined ? undefined : Buffer.concat([BATCH, root]);
}

/** DSSE pre-authentication encoding of a 32-byte payload, up to that payload. */
function prefixOf(payloadType: string): Buffer {
  return Buffer.from(`DSSEv1 ${payloadType.length} ${payloadType} 32 `);
}
