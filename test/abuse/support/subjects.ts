import { SAMPLE_AGENT_ID } from '../../../src/certs/clients.ts';
import { newId } from '../../../src/ids.ts';
import { SPEC } from '../../system/support/world.ts';
import type { Caller } from './client.ts';
import { changesState, type Operation } from './document.ts';

const DEMO = '/v1/workspaces/demo';
const PROMOTERS = ['operator', 'operator', 'operator', 'kernel-admin'] as const;

/** Whose cursors are worth forging: each keeps something else inside. */
const LISTS = [
  ...['agents', 'agents/statuses', 'decisions', 'promotions', 'audit/events', 'policy/versions'].map(
    (list) => `${DEMO}/${list}`,
  ),
  '/v1/workspaces',
  '/v1/access/locks',
  '/v1/break-glass',
  '/v1/people',
];

/** What there is to be asked for, by the name of a path parameter, and cursors of lists. */
export type Subjects = Readonly<Record<string, readonly string[]>>;

/** What the oracle must know of them. */
export interface Known {
  workspaceOf(agentId: string): string | undefined;
  /** Who asked for a promotion. */
  promoterOf(promotionId: string): Caller | undefined;
}

/** A request that must succeed, by kernel-admin unless it is said; its parsed answer. */
// biome-ignore lint/suspicious/noExplicitAny: it reads whatever the contract promises
export type Act = (method: string, path: string, body?: object, who?: Caller, mayBeGone?: boolean) => Promise<any>;

export interface SubjectSource extends Known {
  /** Things in every state that the operation can be about: new ones when the operation before may have changed them. */
  subjectsFor(operation: Operation): Promise<Subjects>;
}

/** `people` are there already: they come with tokens only. */
export async function openSubjects(act: Act, foreign: string, people: readonly string[]): Promise<SubjectSource> {
  const homes = new Map([
    [SAMPLE_AGENT_ID, 'demo'],
    [foreign, 'other'],
  ]);
  const promoters = new Map<string, Caller>();
  let agents: readonly string[] | undefined;
  await locks();
  await elevations();
  let cursors: readonly unknown[] | undefined;

  async function newAgent(): Promise<string> {
    const { id } = await act('POST', `${DEMO}/agents`, { spec: SPEC });
    homes.set(id, 'demo');
    return id;
  }

  async function newAgents(): Promise<readonly string[]> {
    const all = [await newAgent(), await newAgent(), await newAgent(), await newAgent()];
    const [, running, governed, quarantined] = all;
    await act('POST', `${DEMO}/agents/${running}/start`);
    // A policy that a generated reload left may deny it; then it stays in the sandbox.
    await act('POST', `${DEMO}/agents/${governed}/promote`);
    await act('POST', `${DEMO}/agents/${quarantined}/quarantine`, { reason: 'odd' });
    return all;
  }

  /** Some that wait for an approval, of two callers; one whose agent has changed since; and one that was decided. */
  async function promotions(): Promise<readonly string[]> {
    const asked: string[] = [];
    await act('PATCH', `${DEMO}/settings`, { approvalsRequired: 1 });
    for (const who of PROMOTERS) {
      const agentId = await newAgent();
      const { promotionId } = await act('POST', `${DEMO}/agents/${agentId}/promote`, undefined, who);
      if (asked.length === 0) await act('PATCH', `${DEMO}/agents/${agentId}`, { spec: { description: 'another' } });
      asked.push(promotionId);
      promoters.set(promotionId, who);
    }
    await act('PATCH', `${DEMO}/settings`, { approvalsRequired: null });
    const { promotionId } = await act('POST', `${DEMO}/agents/${await newAgent()}/promote`);
    promoters.set(promotionId, 'kernel-admin');
    return [...asked, promotionId];
  }

  async function templates(): Promise<readonly string[]> {
    const ids = [`t-${newId()}`, `t-${newId()}`];
    const body = { name: 'reader', agent_config: SPEC, workspace_id: 'demo' };
    for (const template_id of ids) await act('POST', '/api/v1/templates', { ...body, template_id });
    return ids;
  }

  /** Of a certificate and a person that are nobody's. */
  async function locks(): Promise<readonly string[]> {
    const reason = 'it is tried out';
    const serial = newId().replaceAll('-', '');
    const placed = [
      await act('POST', '/v1/access/locks', { serial, reason }),
      await act('POST', '/v1/access/locks', { principalId: `hu-${newId()}`, reason }),
    ];
    return placed.map(({ lockId }) => lockId);
  }

  /** One that is in force, and those that are over. */
  async function elevations(): Promise<readonly string[]> {
    for (const { elevationId } of (await act('GET', '/v1/break-glass?active=true')).elevations) {
      await act('DELETE', `/v1/break-glass/${elevationId}`);
    }
    const justification = 'it is tried out';
    const over = await act('POST', '/v1/break-glass', { workspaceId: 'demo', minutes: 5, justification });
    await act('DELETE', `/v1/break-glass/${over.elevationId}`);
    const open = await act('POST', '/v1/break-glass', { workspaceId: 'demo', minutes: 60, justification });
    return [over.elevationId, open.elevationId];
  }

  /** One that has ended. */
  async function sandboxRuns(agentId: string | undefined): Promise<readonly string[]> {
    const { run_id } = await act('POST', `/api/v1/agent/${agentId}/sandbox/run`, { tests: ['echo a'] });
    return [run_id];
  }

  async function subjectsFor(operation: Operation): Promise<Subjects> {
    const { path } = operation;
    agents ??= await newAgents();
    const agentIds = [...agents, SAMPLE_AGENT_ID, foreign];
    if (changesState(operation)) agents = undefined;
    const { revalidation } = path.includes('{revalidationId}') ? await act('POST', `${DEMO}/policy/revalidate`) : NONE;
    const { decisions } = await act('GET', `${DEMO}/decisions?limit=3`);
    const wanted = async (name: string, make: () => Promise<readonly string[]>) =>
      path.includes(name) ? await make() : [];
    const promotionId = await wanted('{promotionId}', promotions);
    const lockId = await wanted('{lockId}', locks);
    const elevationId = await wanted('{elevationId}', elevations);
    const run_id = await wanted('{run_id}', () => sandboxRuns(agentIds[0]));
    const template_id = /templates|spawn/.test(path) ? await templates() : [];
    cursors ??= await Promise.all(LISTS.map(async (list) => (await act('GET', `${list}?limit=1`)).nextCursor));
    return {
      workspaceId: ['demo'],
      agentId: agentIds,
      agent_id: agentIds,
      template_id,
      run_id,
      decisionId: decisions.map((one: { decisionId: string }) => one.decisionId),
      promotionId,
      revalidationId: [revalidation.id],
      signerId: [newId()],
      version: ['1', '2', '3'],
      lockId,
      elevationId,
      principalId: people,
      cursor: cursors.filter((cursor) => typeof cursor === 'string'),
    };
  }

  return {
    subjectsFor,
    workspaceOf: (agentId) => homes.get(agentId),
    promoterOf: (promotionId) => promoters.get(promotionId),
  };
}

const NONE = { revalidation: { id: newId() } };
