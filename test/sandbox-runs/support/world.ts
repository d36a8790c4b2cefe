import { setTimeout as delay } from 'node:timers/promises';

import type { Tap } from '../../support/postgres.ts';
import { type Answer, type TestService, type TestServiceOptions, testService } from '../../support/service.ts';
import { type ScriptedIsolation, scriptedIsolation } from './scripted-isolation.ts';

export interface SandboxWorld extends TestService {
  readonly isolation: ScriptedIsolation;
  /** A stopped sandbox agent. */
  agent(workspaceId?: string): Promise<string>;
  run(agentId: string, body: object, headers?: Record<string, string>): Promise<Answer>;
  /** The id of a run that is not waited for. */
  begin(agentId: string, body: object): Promise<string>;
  get(agentId: string, runId: string): Promise<Answer>;
  /** The run once it has that status. */
  until(agentId: string, runId: string, ...statuses: string[]): Promise<Answer>;
  /** Types and payloads of the events about runs in a chain, the oldest first. */
  events(runId?: string): Promise<{ type: string; payload: Record<string, unknown>; actor: string }[]>;
}

export const sandboxPath = (agentId: string, rest: string) => `/api/v1/agent/${agentId}/sandbox/${rest}`;

/** A service whose sandboxes do what their commands say. */
export async function sandboxWorld(
  t: Tap,
  { sandbox = {}, ...options }: TestServiceOptions & { readonly sandbox?: Partial<SandboxSettings> } = {},
): Promise<SandboxWorld> {
  const isolation = scriptedIsolation();
  const settings = { concurrency: 8, workspaceConcurrency: 4, queue: 64, retentionDays: 30, ...sandbox };
  const service = await testService(t, {
    ...options,
    isolation,
    runtime: { ...options.runtime, sandbox: settings },
  });
  return { ...service, isolation, ...helpersOf(service) };
}

interface SandboxSettings {
  readonly concurrency: number;
  readonly workspaceConcurrency: number;
  readonly queue: number;
  readonly retentionDays: number;
}

export function helpersOf({ call, database }: TestService): Omit<SandboxWorld, keyof TestService | 'isolation'> {
  async function agent(workspaceId = 'demo'): Promise<string> {
    const made = await call('kernel-admin', 'POST', `/v1/workspaces/${workspaceId}/agents`, { spec: { name: 'a' } });
    if (made.status !== 201) throw new Error(made.text);
    return made.body.id;
  }

  const run = (agentId: string, body: object, headers?: Record<string, string>) =>
    call('kernel-admin', 'POST', sandboxPath(agentId, 'run'), body, headers);
  const get = (agentId: string, runId: string) => call('kernel-admin', 'GET', sandboxPath(agentId, `runs/${runId}`));

  async function begin(agentId: string, body: object): Promise<string> {
    const begun = await run(agentId, { async: true, ...body });
    if (begun.status !== 202) throw new Error(begun.text);
    return begun.body.run_id;
  }

  async function until(agentId: string, runId: string, ...statuses: string[]): Promise<Answer> {
    const deadline = performance.now() + 15_000;
    for (;;) {
      const answer = await get(agentId, runId);
      if (statuses.includes(answer.body.status)) return answer;
      if (performance.now() > deadline) throw new Error(`it stays ${answer.text}`);
      await delay(20);
    }
  }

  async function events(runId?: string) {
    const { rows } = await database.query(
      `SELECT event_type AS type, payload, body FROM audit_events
       WHERE event_type LIKE 'sandbox.%' AND ($1::text IS NULL OR payload ->> 'runId' = $1) ORDER BY chain, seq`,
      [runId ?? null],
    );
    return rows.map(({ type, payload, body }) => ({ type, payload, actor: JSON.parse(body.toString()).actor.id }));
  }

  return { agent, run, begin, get, until, events };
}
