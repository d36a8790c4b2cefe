import { setTimeout as delay } from 'node:timers/promises';

import type { Isolation } from '../../src/runtime/isolation.ts';
import { type Answer, type TestService, type TestServiceOptions, testService } from '../support/service.ts';
import { SPEC } from '../system/support/world.ts';

const DEADLINE_MS = 12_000;
const LOOK_MS = 20;

/** A spec that the shipped policy promotes and that is run. */
export const RUN_SPEC = { ...SPEC, runtime: { command: ['sleep', '1000'] } };

export interface SupervisedWorld extends TestService {
  /** A new agent, as its path; a sandbox agent unless it is promoted. */
  agent(spec?: object, ttlSeconds?: number): Promise<string>;
  governed(spec?: object): Promise<string>;
  /** The answer, which must have that status. */
  act(path: string, action: string, body?: unknown, status?: number): Promise<Answer>;
  status(path: string): Promise<Answer['body']>;
  /** Payloads of the agent's events, each with its type. */
  events(path: string, ...types: string[]): Promise<{ type: string; [member: string]: unknown }[]>;
}

type Tap = Parameters<typeof testService>[0];

/** Resolves when it holds; rejects after a while with what it is about. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  limitMs = DEADLINE_MS,
): Promise<number> {
  const from = performance.now();
  while (!(await holds())) {
    if (performance.now() - from > limitMs) throw new Error(`not in time: ${what}`);
    await delay(LOOK_MS);
  }
  return performance.now() - from;
}

/** A service that runs agents with this isolation. */
export async function supervisedWorld(
  t: Tap,
  isolation: Isolation | undefined,
  options: TestServiceOptions = {},
): Promise<SupervisedWorld> {
  const service = await testService(t, { ...options, ...(isolation === undefined ? {} : { isolation }) });
  const { call, database } = service;
  const expect = async (status: number, method: string, path: string, body?: unknown) => {
    const answer = await call('kernel-admin', method, path, body);
    if (answer.status !== status) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
    return answer;
  };
  const agent = async (spec: object = RUN_SPEC, ttlSeconds?: number) => {
    const body = { spec, ...(ttlSeconds === undefined ? {} : { ttlSeconds }) };
    const made = await expect(201, 'POST', '/v1/workspaces/demo/agents', body);
    return `/v1/workspaces/demo/agents/${made.body.id}`;
  };
  const act = (path: string, action: string, body: unknown = {}, status = 200) =>
    expect(status, 'POST', `${path}/${action}`, body);
  return {
    ...service,
    agent,
    act,
    governed: async (spec) => {
      const path = await agent(spec);
      await act(path, 'promote');
      return path;
    },
    status: async (path) => (await expect(200, 'GET', `${path}/status`)).body,
    events: async (path, ...types) => {
      const { rows } = await database.query(
        `SELECT event_type AS type, payload FROM audit_events
         WHERE chain = 'demo' AND payload ->> 'agentId' = $1 AND (cardinality($2::text[]) = 0 OR event_type = ANY ($2))
         ORDER BY seq`,
        [path.split('/').at(-1), types],
      );
      return rows.map(({ type, payload }) => ({ type, ...payload }));
    },
  };
}
