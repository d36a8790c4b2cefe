import type { Session } from '../storage/session.ts';
import { type CompactRange, emptyRange, extendRange } from '../transparency/compact-range.ts';
import { leafHash } from '../transparency/merkle.ts';
import type { ChainDraft, ChainHead } from './chain.ts';
import { AuditError } from './errors.ts';
import { readLeafHashes } from './store.ts';

/** Events whose leaf hashes are read at once: 1 MiB as it is sent. */
const PAGE = 16_384;

/** The Merkle tree of the chain as it will stand after the commit. */
export async function treeOf(session: Session, { head, events }: ChainDraft): Promise<CompactRange> {
  const before = head.tree ?? (await rebuilt(session, head));
  return extendRange(
    before,
    events.map(({ body }) => leafHash(body)),
  );
}

/**
 * From the rows, for a head that was written before there was a tree, or whose tree is of another size. Whether the rows
 * are still what was appended is not seen here: a checkpoint goes on from the one before, and finds out.
 */
async function rebuilt(session: Session, { chain, seq }: ChainHead): Promise<CompactRange> {
  let range = emptyRange();
  while (range.end < seq) {
    const to = Math.min(range.end + PAGE, seq);
    const leaves = await readLeafHashes(session, chain, range.end + 1, to);
    if (leaves.length !== to - range.end) {
      throw new AuditError('AUDIT_UNAVAILABLE', 'the head of the chain does not fit its events');
    }
    range = extendRange(range, leaves);
  }
  return range;
}
