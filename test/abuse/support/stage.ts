import assert from 'node:assert/strict';

import { SAMPLE_AGENT_ID } from '../../../src/certs/clients.ts';
import { newId } from '../../../src/ids.ts';
import { openWorld, SPEC, type World } from '../../system/support/world.ts';
import { type Client, openClient } from './client.ts';
import { type Watch, watch } from './watch.ts';

type Tap = Parameters<typeof openWorld>[0];

/** Whose cursors are worth forging: each keeps something else inside. */
const LISTS = ['agents', 'agents/statuses', 'decisions', 'promotions', 'audit/events', 'policy/versions'];

/** What there is to be asked for, by the name of a path parameter, and cursors of lists. */
export type Subjects = Readonly<Record<string, readonly string[]>>;

/** A whole service, with a client for every identity and eyes on its database. */
export interface Stage extends Watch {
  readonly world: World;
  readonly client: Client;
  /** New agents in every state and what belongs to them. */
  subjects(): Promise<Subjects>;
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

  async function act(method: string, path: string, body?: object) {
    const headers = { 'content-type': 'application/json' };
    const sent = { who: 'kernel-admin', method, target: `/v1/workspaces/demo/${path}`, headers } as const;
    const answer = await client.send(body === undefined ? sent : { ...sent, body: Buffer.from(JSON.stringify(body)) });
    assert.ok(answer.status < 300, `${method} ${path}: ${answer.text}`);
    return JSON.parse(answer.text);
  }

  let cursors: unknown[] | undefined;

  async function subjects(): Promise<Subjects> {
    const sandbox = async () => `agents/${(await act('POST', 'agents', { spec: SPEC })).id}`;
    const [stopped, running, governed, quarantined] = [
      await sandbox(),
      await sandbox(),
      await sandbox(),
      await sandbox(),
    ];
    await act('POST', `${running}/start`);
    // A policy that a generated reload left may deny it; then it stays in the sandbox.
    await act('POST', `${governed}/promote`);
    await act('POST', `${quarantined}/quarantine`, { reason: 'odd' });
    const { revalidation } = await act('POST', 'policy/revalidate');
    const { decisions } = await act('GET', 'decisions?limit=3');
    const { promotions } = await act('GET', 'promotions?limit=3');
    cursors ??= await Promise.all(LISTS.map(async (list) => (await act('GET', `${list}?limit=1`)).nextCursor));
    await look();
    const agents = [stopped, running, governed, quarantined].map((path) => path.slice('agents/'.length));
    return {
      workspaceId: ['demo'],
      agentId: [...agents, SAMPLE_AGENT_ID, foreign],
      decisionId: decisions.map((one: { decisionId: string }) => one.decisionId),
      promotionId: promotions.map((one: { promotionId: string }) => one.promotionId),
      revalidationId: [revalidation.id],
      signerId: [newId()],
      version: ['1', '2', '3'],
      cursor: cursors.filter((cursor) => typeof cursor === 'string'),
    };
  }

  return { world, client, look, subjects, proof };
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
