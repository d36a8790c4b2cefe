import { canonicalBytes } from '../../src/crypto/canonical-json.ts';
import { sha256Hex } from '../../src/crypto/digest.ts';
import { newId } from '../../src/ids.ts';
import { WORKSPACE, type World } from './fixture.ts';

/** Puts an unsigned event at the end of the chain that nobody here ever writes so, and moves the head behind it. */
export async function forgeUnsigned({ database }: World): Promise<void> {
  const { rows } = await database.query('SELECT seq, hash, updated_at FROM audit_heads WHERE chain = $1', [WORKSPACE]);
  const [head] = rows;
  const [seq, id, ts] = [Number(head.seq) + 1, newId(), new Date(head.updated_at).toISOString()];
  const actor = { id: 'x', kind: 'human' };
  const named = { v: 1, chain: WORKSPACE, seq, id, eventType: 'agent.created', ts, actor, payload: {} };
  const body = canonicalBytes({ ...named, prevHash: head.hash, signerId: null });
  await database.query(
    `INSERT INTO audit_events (chain, seq, id, event_type, ts, actor_id, actor_kind, payload, body, hash, prev_hash, sign_mode)
     VALUES ($1, $2, $3, 'agent.created', $4, 'x', 'human', '{}', $5, $6, $7, 'deferred')`,
    [WORKSPACE, seq, id, ts, body, sha256Hex(body), head.hash],
  );
  await database.query('UPDATE audit_heads SET seq = $2, hash = $3, deferred_from = $2, tree = NULL WHERE chain = $1', [
    WORKSPACE,
    seq,
    sha256Hex(body),
  ]);
}
