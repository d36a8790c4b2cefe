import { createPrivateKey } from 'node:crypto';

import { mth } from '../../transparency/support/reference.ts';
import { canonicalBody, sha256 } from './history.ts';
import { signHash, signRoot } from './keys.ts';
import type { LogScene } from './log-damages.ts';

/** Writes a chain anew from `seq` on, a little otherwise, each event signed by the key that had signed it, and the head over it. */
export async function rewriteFrom(
  query: LogScene['query'],
  { chain, seq: from, keys }: { chain: string; seq: number; keys: ReadonlyMap<string, string> },
): Promise<void> {
  const text = `SELECT seq, body, prev_hash, signer_id, sign_mode FROM audit_events WHERE chain = $1 AND seq >= $2 ORDER BY seq`;
  let before: string | undefined;
  for (const { seq, body, prev_hash: prevHash, signer_id: signerId, sign_mode: mode } of (
    await query(text, [chain, from])
  ).rows) {
    const members = { ...JSON.parse(body.toString('utf8')), traceId: 'b'.repeat(32), prevHash: before ?? prevHash };
    const other = canonicalBody(members);
    const hash = sha256(other);
    const pem = keys.get(signerId);
    const signature = pem === undefined ? null : signed(pem, mode, hash);
    const place = mode === 'batch' ? `, batch_index = 0, batch_size = 1, batch_path = ''` : '';
    await query(
      `UPDATE audit_events SET body = $3, hash = $4, prev_hash = $5, signature = $6${place} WHERE chain = $1 AND seq = $2`,
      [chain, seq, other, hash, members.prevHash, signature],
    );
    before = hash;
  }
  await query('UPDATE audit_heads SET hash = $2, tree = NULL WHERE chain = $1', [chain, before]);
}

function signed(pem: string, mode: string, hash: string): string {
  const key = createPrivateKey(pem);
  return mode === 'batch' ? signRoot(key, mth([Buffer.from(hash, 'hex')])) : signHash(key, hash);
}
