import { randomBytes } from 'node:crypto';
import pg from 'pg';

import { createCheckpointProofs } from '../../src/checkpoints/proofs.ts';
import { createPrunings, type Prunings } from '../../src/retention/pruning.ts';
import { type CheckpointBench, checkpointBench } from '../checkpoints/support.ts';
import type { TestDatabase } from '../support/database.ts';
import { databaseUrl, type Tap, withClient } from '../support/postgres.ts';

export interface PruningBench extends CheckpointBench {
  readonly prunings: Prunings;
  readonly round: () => Promise<unknown>;
  /** Approves, and makes a checkpoint over the approval. */
  approve(chain: string, to: number): Promise<void>;
}

export const ADMIN = { id: 'admin-1', kind: 'human' } as const;

export async function pruningBench(t: Tap, chains: readonly string[]): Promise<PruningBench> {
  const bench = await checkpointBench(t, chains);
  const prunings = createPrunings({
    storage: bench.storage,
    audit: bench.audit,
    clock: () => bench.time.now,
    proofs: createCheckpointProofs(bench.storage),
  });
  const makeRound = bench.rounds();
  const round = () => {
    bench.time.now += 10_000;
    return makeRound();
  };
  return {
    ...bench,
    prunings,
    round,
    approve: async (chain, to) => {
      await prunings.approve(chain, { to, reason: 'old' }, { actor: ADMIN, traceId: '0'.repeat(32) });
      await round();
    },
  };
}

/** A login of the test's own that may become these roles. */
export async function loginAs(t: Tap, database: TestDatabase, roles: readonly string[]): Promise<string> {
  const user = `login_${randomBytes(6).toString('hex')}`;
  const password = 'only-for-tests-login';
  await database.query(
    `CREATE ROLE ${user} LOGIN NOINHERIT PASSWORD '${password}'; GRANT ${roles.join(', ')} TO ${user}`,
  );
  t.teardown(async () => {
    await withClient(databaseUrl(database.superuserUrl, 'postgres'), (client) => client.query(`DROP ROLE ${user}`));
  });
  return databaseUrl(database.superuserUrl, database.name, { user, password });
}

/** A connection as one of the roles, closed at teardown. */
export async function connectAs(t: Tap, url: string, role: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, options: `-c role=${role}` });
  await client.connect();
  t.teardown(() => client.end());
  return client;
}

export async function seqsOf(database: TestDatabase, chain: string): Promise<number[]> {
  const { rows } = await database.query('SELECT seq FROM audit_events WHERE chain = $1 ORDER BY seq', [chain]);
  return rows.map(({ seq }) => Number(seq));
}
