import fc from 'fast-check';
import t from 'tap';

import { createCheckpointProofs } from '../../src/checkpoints/proofs.ts';
import { decodeRange, rootOf } from '../../src/transparency/compact-range.ts';
import { leafHash } from '../../src/transparency/merkle.ts';
import { verifyConsistency, verifyInclusion } from '../../src/transparency/verify-proof.ts';
import { type CheckpointBench, checkpointBench } from './support.ts';

const bytes = (text: string) => Buffer.from(text, 'base64');
const all = (list: readonly string[]) => list.map(bytes);

/** Events as they would be after `count` appends, put there at once; only their bodies matter to a tree. */
async function fill(bench: CheckpointBench, chain: string, count: number): Promise<void> {
  await bench.database.query(
    `INSERT INTO audit_events (chain, seq, id, event_type, ts, actor_id, actor_kind, payload, body, hash, prev_hash, signature, signer_id, sign_mode)
     SELECT $1, n, gen_random_uuid(), 'agent.stopped', now(), 'x', 'human', '{}', convert_to($1 || n, 'UTF8'),
       encode(sha256(convert_to($1 || n, 'UTF8')), 'hex'), lpad(to_hex(n), 64, '0'), 'x', 'audit-1', 'event'
     FROM generate_series(1, $2::int) AS n`,
    [chain, count],
  );
  await bench.database.query(
    `UPDATE audit_heads SET seq = $2, hash = (SELECT hash FROM audit_events WHERE chain = $1 AND seq = $2) WHERE chain = $1`,
    [chain, count],
  );
}

t.test('proofs of chains of many tiles, made in parts and by a later append', async (t) => {
  const bench = await checkpointBench(t, ['alpha', 'beta']);
  // More than one page of a round, and more than one tile of tiles.
  const filled = 65_536 * 2 + 300;
  await fill(bench, 'alpha', filled);
  await fill(bench, 'beta', 70_000);
  const round = bench.rounds();
  t.match(await round(), { damaged: [], note: { size: 5 } }, 'three parts of one, two of the other');
  await bench.append('alpha', 3);
  t.match(await round(), { damaged: [], note: { size: 6 } });
  const { rows } = await bench.database.query(`SELECT tree FROM audit_heads WHERE chain = 'alpha'`);
  const proofs = createCheckpointProofs(bench.storage);
  const { entry } = await proofs.checkpoint('alpha');
  t.equal(entry.root, rootOf(decodeRange(rows[0].tree)).toString('base64'), 'the tree that the append has rebuilt');
  t.equal(entry.size, filled + 3);

  const seqs = fc.oneof(
    fc.integer({ min: 1, max: filled }),
    fc.constantFrom(1, 256, 257, 65_536, 65_537, 131_072, filled),
  );
  await fc.assert(
    fc.asyncProperty(seqs, async (seq) => {
      const { proof, checkpoint } = await proofs.inclusion('alpha', seq);
      const claim = { index: seq - 1, size: checkpoint.entry.size, root: bytes(checkpoint.entry.root) };
      return verifyInclusion({ ...claim, leafHash: leafHash(Buffer.from(`alpha${seq}`)), proof: all(proof) });
    }),
    { numRuns: 60 },
  );
  await fc.assert(
    fc.asyncProperty(seqs, seqs, async (one, other) => {
      const [from, to] = [Math.min(one, other), Math.max(one, other)];
      const { fromRoot, toRoot, proof } = await proofs.consistency('alpha', from, to);
      const roots = { oldRoot: bytes(fromRoot), root: bytes(toRoot) };
      return verifyConsistency({ oldSize: from, size: to, ...roots, proof: all(proof) });
    }),
    { numRuns: 60 },
  );
});

t.test('a proof reads a few tiles and never the chain', async (t) => {
  const bench = await checkpointBench(t, ['alpha']);
  await fill(bench, 'alpha', 60_000);
  await bench.rounds()();
  // The bodies of full tiles are not needed any more but for the event itself.
  await bench.database.query(
    `SET session_replication_role = replica; DELETE FROM audit_events WHERE seq NOT BETWEEN 30000 AND 30001 AND seq <= 59904`,
  );
  const proofs = createCheckpointProofs(bench.storage);
  t.match(await proofs.inclusion('alpha', 30_000), { seq: 30_000 });
  t.match(await proofs.consistency('alpha', 256, 59_999), { from: 256 });
  await t.rejects(proofs.inclusion('alpha', 5), { code: 'AUDIT_UNAVAILABLE' });
});

t.test('a tile that was edited gives no proof', async (t) => {
  const bench = await checkpointBench(t, ['alpha']);
  await fill(bench, 'alpha', 700);
  await bench.rounds()();
  const proofs = createCheckpointProofs(bench.storage);
  await bench.database.query(
    `SET session_replication_role = replica; UPDATE audit_tiles SET hashes = set_byte(hashes, 64, get_byte(hashes, 64) # 1) WHERE index = 0`,
  );
  t.match(await proofs.inclusion('alpha', 600), { seq: 600 });
  await t.rejects(proofs.inclusion('alpha', 1), { code: 'AUDIT_UNAVAILABLE' });
});
