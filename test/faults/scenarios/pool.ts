import pg from 'pg';

import { until } from '../../support/process.ts';
import { requireAlive } from '../support/conduct.ts';
import type { Outcome } from '../support/history.ts';
import type { Instance } from '../support/launch.ts';
import { valuesOf } from '../support/metrics.ts';
import type { FaultScenario } from '../support/run.ts';
import { POOL_SIZE, type World } from '../support/world.ts';

/** ms; security.md: 503 within 2 s, and the way there and back on a busy machine. */
const TOLD_WITHIN_MS = 2600;
const EXHAUSTED_WITHIN_MS = 10_000;
/** Callers besides those that are there: more than the pool has connections. */
const CROWD = 24;

export const POOL_SCENARIOS: readonly FaultScenario[] = [
  {
    name: 'pool-exhausted',
    why: 'every connection is held up by a lock: who finds none is told so within 2 s',
    runs: 5,
    fault: ({ world, instance }) => exhaust(world, instance),
  },
];

async function exhaust(world: World, instance: Instance): Promise<void> {
  const holder = new pg.Client({ connectionString: world.database.superuserUrl });
  await holder.connect();
  const crowd: Promise<Outcome>[] = [];
  try {
    await holder.query('BEGIN; LOCK TABLE agents IN ACCESS EXCLUSIVE MODE');
    const list = { who: 'operator', workspaceId: 'demo', method: 'GET', headers: {} } as const;
    const ask = () => world.client.send(instance.apiUrl, { ...list, path: '/v1/workspaces/demo/agents' });
    crowd.push(...Array.from({ length: CROWD }, ask));
    await until('the pool is exhausted', () => isExhausted(instance), EXHAUSTED_WITHIN_MS);
    await requireToldSoon(world, instance);
    await requireAlive(instance);
  } finally {
    await holder.end();
    await Promise.all(crowd);
  }
}

/** No connection is idle, and none may be added. */
async function isExhausted({ opsUrl }: Instance): Promise<boolean> {
  const values = valuesOf(await (await fetch(`${opsUrl}/metrics`)).text());
  const of = (state: string) => values.get(`castellan_db_pool_connections{pool="app",state="${state}"}`) ?? 0;
  return of('waiting') > 0 || of('busy') >= POOL_SIZE;
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
