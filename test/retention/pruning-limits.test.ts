import { sql } from 'kysely';
import t from 'tap';

import { readLimits } from '../../src/retention/pruning-store.ts';
import { auditBench } from '../audit/support.ts';

const EVENTS = 20_000;
const CHAINS = ['one', '_system'];

t.test('what decides over a removal is read from few events, however long the chain is', async (t) => {
  const { database, storage } = await auditBench(t, CHAINS);
  // Every 2,000th one is about a signer, and names the registry.
  await database.query(
    `SET session_replication_role = replica;
     INSERT INTO audit_events (chain, seq, id, event_type, ts, actor_id, actor_kind, payload, body, hash, prev_hash, signature, signer_id, sign_mode)
     SELECT c, n, gen_random_uuid(), CASE n % 2000 WHEN 7 THEN 'signer.retired' ELSE 'access.denied' END, now(), 'a', 'system',
       CASE n % 2000 WHEN 7 THEN '{"registryDigest": "x"}' ELSE '{"code": "x"}' END::jsonb, '\\x00',
       encode(sha256(n::text::bytea), 'hex'), encode(sha256((n - 1)::text::bytea), 'hex'), 's', 'audit-1', 'event'
     FROM generate_series(1, ${EVENTS}) n, unnest(ARRAY['one', '_system']) c;
     UPDATE audit_heads SET seq = ${EVENTS}; ANALYZE audit_events`,
  );
  for (const chain of CHAINS) {
    const { limits, read } = await storage.read(chain, async (trx) => ({
      limits: await readLimits(trx, chain),
      read: await sql<{ rows: number }>`
        SELECT (seq_tup_read + idx_tup_fetch)::int AS rows FROM pg_stat_xact_user_tables WHERE relname = 'audit_events'`.execute(
        trx,
      ),
    }));
    const registry = chain === '_system' ? 18_007 : 0;
    t.strictSame(limits, { head: EVENTS, approved: 0, registry, held: false });
    t.ok(Number(read.rows[0]?.rows) < 50, `${read.rows[0]?.rows} events of ${chain}`);
  }
});
