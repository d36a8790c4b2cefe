import { sha256 } from '../crypto/digest.ts';
import { pae } from '../crypto/dsse.ts';
import { splitHashes } from '../transparency/hash-list.ts';
import { memoryTree } from '../transparency/memory-tree.ts';
import { HASH_BYTES, leafHash } from '../transparency/merkle.ts';
import { rootAbove } from '../transparency/verify-proof.ts';
import { type SealedEvent, signedBytes } from './event.ts';

/** Another payload type than an event's, so that neither signature can pass for the other. */
const BATCH_PAYLOAD_TYPE = 'application/vnd.castellan.audit-batch.v1';

export type SigningModeName = 'event' | 'batch';

/** What the rows of events show for their signatures, in the order in which they are stored. */
export interface RowSignatures {
  /** base64; null: not signed. */
  readonly signatures: readonly (string | null)[];
  /** The paths from the events, as leaves, to the one root that was signed; null: each was signed by itself, or none. */
  readonly paths: readonly Buffer[] | null;
}

/** How the events of one transaction, at least one of them, are signed. */
export interface SigningMode {
  readonly name: SigningModeName;
  sign(events: readonly SealedEvent[], sign: (message: Buffer) => Promise<Buffer>): Promise<RowSignatures>;
}

/** The mode by its name in the settings. */
export function signingMode(name: SigningModeName): SigningMode {
  return name === 'event' ? EVENT : BATCH;
}

/** An event's place in the batch that was signed, as its row has it. */
export interface BatchPlace {
  readonly index: number;
  readonly size: number;
  /** 32 bytes a hash. */
  readonly path: Buffer;
}

/** What the signature of a stored event must be over; undefined for a place that no batch has. */
export function storedMessage(event: Pick<SealedEvent, 'body'>, place: BatchPlace | undefined): Buffer | undefined {
  if (place === undefined) return signedBytes(event);
  if (place.path.length % HASH_BYTES !== 0) return undefined;
  const { index, size } = place;
  const root = rootAbove({ index, size, leafHash: leafHash(sha256(event.body)), proof: splitHashes(place.path) });
  return root === undefined ? undefined : pae(BATCH_PAYLOAD_TYPE, root);
}

export function unsigned(events: readonly SealedEvent[]): RowSignatures {
  return { signatures: events.map(() => null), paths: null };
}

/** A signature for each event: a row is evidence by itself. */
const EVENT: SigningMode = {
  name: 'event',
  sign: async (events, sign) => {
    const signatures = await Promise.all(events.map((event) => sign(signedBytes(event))));
    return { signatures: signatures.map((signature) => signature.toString('base64')), paths: null };
  },
};

/** One signature for all of them, over the root of the RFC 6962 tree of their hashes. */
const BATCH: SigningMode = {
  name: 'batch',
  sign: async (events, sign) => {
    const tree = memoryTree(events.map(({ body }) => leafHash(sha256(body))));
    const signature = (await sign(pae(BATCH_PAYLOAD_TYPE, tree.root))).toString('base64');
    return {
      signatures: events.map(() => signature),
      paths: events.map((_, index) => Buffer.concat(tree.inclusionProof(index))),
    };
  },
};
