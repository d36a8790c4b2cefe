import pg from 'pg';

import { until } from '../../support/process.ts';
import { disturbed, requireAlive } from '../support/conduct.ts';
import type { Instance } from '../support/launch.ts';
import { valuesOf } from '../support/metrics.ts';
import type { Scenario } from '../support/run.ts';
import type { World } from '../support/world.ts';

/** ms; security.md: 503 within 2 s, and the way there and back on a busy machine. */
const TOLD_WITHIN_MS = 2600;
const EXHAUSTED_WITHIN_MS = 10_000;
/** Callers at once: more than the pool has connections. */
const CLIENTS = 24;

export const POOL_SCENARIOS: readonly Scenario[] = [
  {
    name: 'pool-exhausted',
    why: 'every connection is held up by a lock: who finds none is told so within 2 s',
    runs: 5,
    run: async (world) => {
      const instance = await world.boot({ poolSize: 4 });
      await disturbed(world, instance, () => exhaust(world, instance), CLIENTS);
    },
  },
];

async function exhaust(world: World, instance: Instance): Promise<void> {
  const holder = new pg.Client({ connectionString: world.database.superuserUrl });
  await holder.connect();
  try {
    await holder.query('BEGIN; LOCK TABLE agents, agent_specs, policy_heads IN ACCESS EXCLUSIVE MODE');
    await until('the pool is exhausted', () => isExhausted(instance), EXHAUSTED_WITHIN_MS);
    await requireToldSoon(world, instance);
    await requireAlive(instance);
  } finally {
    await holder.end();
  }
}

async function isExhausted({ opsUrl }: Instance): Promise<boolean> {
  const values = valuesOf(await (await fetch(`${opsUrl}/metrics`)).text());
  return (values.get('castellan_db_pool_connections{pool="app",state="waiting"}') ?? 0) > 0;
}

/** A caller of its own, who needs a connection for a read that nothing locks. */
async function requireToldSoon(world: World, { apiUrl }: Instance): Promise<void> {
  const began = performance.now();
  const call = {
    who: 'kernel-admin',
    workspaceId: 'demo',
    method: 'GET',
    path: '/v1/workspaces',
    headers: {},
  } as const;
  const outcome = await world.client.send(apiUrl, call);
  const took = Math.round(performance.now() - began);
  if (outcome.kind === 'unknown') throw new Error(`with an exhausted pool: ${outcome.reason}`);
  if (outcome.status !== 200 && !(outcome.status === 503 && outcome.retryAfter)) {
    throw new Error(`with an exhausted pool: ${outcome.status} ${outcome.code}`);
  }
  if (took > TOLD_WITHIN_MS) throw new Error(`with an exhausted pool: told ${outcome.status} after ${took} ms`);
}
