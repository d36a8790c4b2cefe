import { canonicalBytes } from '../crypto/canonical-json.ts';

/** What the tree of a chain was when it had `size` events. */
export interface ChainCheckpoint {
  readonly chain: string;
  readonly size: number;
  readonly root: Uint8Array;
}

/** The bytes of a chain checkpoint as an entry of the global log. */
export function entryBytes({ chain, size, root }: ChainCheckpoint): Buffer {
  return canonicalBytes({ v: 1, chain, size, root: Buffer.from(root).toString('base64') });
}
