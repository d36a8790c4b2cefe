import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';

import { SAMPLE_AGENT_ID } from '../../../src/certs/clients.ts';
import { openWorld, type World } from '../../system/support/world.ts';
import { type Client, openClient } from './client.ts';
import type { Operation } from './document.ts';
import { type Act, type Known, openSubjects, type Subjects } from './subjects.ts';
import { type Watch, watch } from './watch.ts';

type Tap = Parameters<typeof openWorld>[0];

/** A whole service, with a client for every identity and eyes on its database. */
export interface Stage extends Watch {
  readonly world: World;
  readonly client: Client;
  readonly known: Known;
  /** What the operation can be about. What was done for it is looked at already. */
  subjects(operation: Operation): Promise<Subjects>;
  readonly act: Act;
  /** The proof of some governed agent. */
  readonly proof: unknown;
}

export async function openStage(t: Tap): Promise<Stage> {
  const world = await openWorld(t);
  const client = openClient(world.service.apiUrl, world.certsDir);
  t.teardown(() => client.close());
  await sampleAgent(world);
  const foreign = await world.sandboxAgent('other');
  const proven = await world.governedAgent('demo');
  const { proof } = (await world.expect(200, 'operator', 'GET', `/v1/workspaces/demo/agents/${proven}/governance`)).body
    .governance;
  const { look } = await watch(t, world.database.superuserUrl);

  const act: Act = async (method, target, body, who = 'kernel-admin', mayBeGone = false) => {
    const headers = { 'content-type': 'application/json' };
    const sent = { who, method, target, headers };
    const bare = { ...sent, headers: {} };
    const answer = await client.send(body === undefined ? bare : { ...sent, body: Buffer.from(JSON.stringify(body)) });
    if (mayBeGone && answer.status === 404) return undefined;
    assert.ok(answer.status < 300, `${method} ${target}: ${answer.text}`);
    return answer.text === '' ? undefined : JSON.parse(answer.text);
  };

  const known = await openSubjects(act, foreign, await people(world));

  async function subjects(operation: Operation): Promise<Subjects> {
    const found = await known.subjectsFor(operation);
    await look();
    return found;
  }

  return { world, client, look, known, subjects, act, proof };
}

/** The agent of `agent.crt`: its id is given, so it cannot come from the API. */
async function sampleAgent(world: World): Promise<void> {
  const agentId = await world.sandboxAgent('demo');
  for (const statement of [
    'UPDATE agents SET id = $2 WHERE id = $1',
    'UPDATE agent_specs SET agent_id = $2 WHERE agent_id = $1',
    'UPDATE agent_directory SET agent_id = $2 WHERE agent_id = $1',
  ]) {
    await world.sql(statement, [agentId, SAMPLE_AGENT_ID]);
  }
}

/** Who came with a token: none of the test's own callers did. */
async function people(world: World): Promise<readonly string[]> {
  const ids = [`hu-${randomUUID()}`, `hu-${randomUUID()}`];
  for (const id of ids) {
    await world.sql(
      `INSERT INTO people (id, kind, issuer, subject, first_seen) VALUES ($1, 'human', 'https://id.example', $1, now())`,
      [id],
    );
  }
  return ids;
}
