import { sha256 } from '../crypto/digest.ts';
import { pae } from '../crypto/dsse.ts';
import { memoryTree } from '../transparency/memory-tree.ts';
import { leafHash } from '../transparency/merkle.ts';
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
