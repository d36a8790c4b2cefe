import { setTimeout as delay } from 'node:timers/promises';

import { readShippedBundle } from '../../src/policy/shipped.ts';
import type { Agents } from './agents.ts';
import type { Bench } from './phase.ts';
import type { World } from './world.ts';

/** As many as one batch may name. */
const BATCH = 200;
const POLL_MS = 20;
const DONE_MS = 900_000;

interface Revalidation {
  readonly id: string;
  readonly state: 'running' | 'done';
  readonly total: number;
  readonly done: number;
  readonly invalidated: number;
}

/** Through the API, for their proofs must be real. Answers the rate. */
export async function promoteAll({ world }: Bench, agents: Agents): Promise<number> {
  const started = performance.now();
  for (let at = 0; at < agents.count; at += BATCH) {
    const agentIds = Array.from({ length: Math.min(BATCH, agents.count - at) }, (_, index) => agents.id(at + index));
    const path = `/v1/workspaces/${agents.workspaceId}/agents:batch`;
    const answer = await world.call('POST', path, { action: 'promote', agentIds });
    const { results } = answer as { results: { success: boolean }[] };
    const failed = results.find(({ success }) => !success);
    if (failed !== undefined) throw new Error(`not promoted: ${JSON.stringify(failed)}`);
  }
  return agents.count / ((performance.now() - started) / 1000);
}

/** The shipped policy with other data in each round, so that each has to be compiled; every agent still passes. */
export async function changedBundle(round: number) {
  const { modules, data } = await readShippedBundle();
  return { policySet: 'default', bundle: { modules, data: { ...data, bench: { round } } } };
}

/** Asks until every agent is done; throws when one of them did not pass. */
export async function untilDone(
  call: World['call'],
  policy: string,
  answer: unknown,
  count: number,
): Promise<Revalidation> {
  const { revalidation } = answer as { revalidation: Revalidation };
  let now = revalidation;
  for (const deadline = Date.now() + DONE_MS; now.state !== 'done'; await delay(POLL_MS)) {
    if (Date.now() > deadline) throw new Error(`the revalidation does not end: ${JSON.stringify(now)}`);
    now = (await call('GET', `${policy}/revalidations/${revalidation.id}`)) as Revalidation;
  }
  if (now.done !== count || now.invalidated !== 0) throw new Error(`not as expected: ${JSON.stringify(now)}`);
  return { ...now, id: revalidation.id };
}

/** From the activation to the last agent, by the service's clock: without the compilation and our polling. */
export async function secondsOf({ world }: Bench, id: string): Promise<number> {
  const { rows } = await world.db.query(
    'SELECT extract(epoch FROM updated_at - created_at)::float8 AS seconds FROM revalidations WHERE id = $1',
    [id],
  );
  return rows[0].seconds;
}
