import assert from 'node:assert/strict';
import pg from 'pg';

import { newId } from '../../../src/ids.ts';
import { scriptedIsolation } from '../../sandbox-runs/support/scripted-isolation.ts';
import { type Answer, type TestService, type TestServiceOptions, testService } from '../../support/service.ts';

/** A spec that the shipped policy promotes. */
export const SPEC = {
  name: 'reader',
  model: { provider: 'example', name: 'writer-1', temperature: 0.3 },
  instructions: 'Read and summarize.',
  capabilities: ['search'],
  budget: { monthlyUsd: 100 },
};

/** ms. */
export const MINUTE = 60_000;
export const DAY = 86_400_000;

export interface StoredEvent {
  readonly chain: string;
  readonly seq: number;
  readonly type: string;
  readonly actor: string;
  readonly payload: Readonly<Record<string, unknown>>;
}

type Tap = Parameters<typeof testService>[0];

/** A whole service, time that the test moves, and eyes on its database. */
export interface World extends TestService {
  /** Moves the service's clock. */
  pass(ms: number): void;
  now(): number;
  /** The answer, which must have that status. */
  expect(status: number, who: string, method: string, path: string, body?: unknown): Promise<Answer>;
  /** A new workspace of the test's own; only kernel-admin and auditor may use it. */
  workspace(): Promise<string>;
  sandboxAgent(workspaceId: string, spec?: object, ttlSeconds?: number): Promise<string>;
  governedAgent(workspaceId: string, spec?: object): Promise<string>;
  sql(text: string, params?: unknown[]): Promise<void>;
  /** Everything appended since `work` began, in every chain, and what `work` gave. */
  eventsOf<T>(work: () => Promise<T>): Promise<{ readonly result: T; readonly events: readonly StoredEvent[] }>;
  /** Names of the tables whose rows `work` wrote, other than those of the audit. */
  changesOf<T>(work: () => Promise<T>): Promise<{ readonly result: T; readonly changed: readonly string[] }>;
  /** The value of one line of /metrics; 0 when it is not there. */
  metric(line: string): Promise<number>;
}

/** Starts a service whose clock stands unless the test moves it. */
export async function openWorld(
  t: Tap,
  options: Pick<TestServiceOptions, 'checkpoints' | 'manifests'> = {},
): Promise<World> {
  let moved = 0;
  // It runs, so that ids and times of one test are in order; `pass` adds to it.
  const now = () => Date.now() + moved;
  // It changes the registry a while after a signer's end, and that is not what a request leaves.
  const service = await testService(t, {
    isolation: scriptedIsolation(),
    ...options,
    clock: now,
    withoutJobs: ['signer-ranges', 'kill-switch', 'break-glass', 'supervision', 'agent-logs'],
  });
  const { call, database } = service;
  // One connection for everything that is looked at: a new one for each look would be most of a test's time.
  const client = new pg.Client({ connectionString: database.superuserUrl });
  await client.connect();
  t.teardown(() => client.end());

  async function expect(status: number, who: string, method: string, path: string, body?: unknown): Promise<Answer> {
    const answer = await call(who, method, path, body);
    assert.equal(answer.status, status, `${method} ${path} as ${who}: ${answer.text}`);
    return answer;
  }

  async function workspace(): Promise<string> {
    const workspaceId = `ws-${newId()}`;
    await expect(201, 'kernel-admin', 'POST', '/v1/workspaces', { workspaceId });
    return workspaceId;
  }

  async function sandboxAgent(workspaceId: string, spec: object = SPEC, ttlSeconds = 86_400): Promise<string> {
    const path = `/v1/workspaces/${workspaceId}/agents`;
    const { body } = await expect(201, 'kernel-admin', 'POST', path, { spec, ttlSeconds });
    return String(body.id);
  }

  async function governedAgent(workspaceId: string, spec: object = SPEC): Promise<string> {
    const agentId = await sandboxAgent(workspaceId, spec);
    const path = `/v1/workspaces/${workspaceId}/agents/${agentId}/promote`;
    const { body, text } = await expect(200, 'kernel-admin', 'POST', path);
    assert.equal(body.success, true, text);
    return agentId;
  }

  async function eventsOf<T>(work: () => Promise<T>) {
    const { rows: heads } = await client.query('SELECT chain, max(seq)::int AS seq FROM audit_events GROUP BY chain');
    const result = await work();
    const { rows } = await client.query(
      `SELECT e.chain, e.seq::int AS seq, e.event_type AS type, e.actor_id AS actor, e.payload FROM audit_events e
       LEFT JOIN jsonb_to_recordset($1) AS h(chain text, seq int) ON h.chain = e.chain
       WHERE e.seq > coalesce(h.seq, 0) ORDER BY e.chain, e.seq`,
      [JSON.stringify(heads)],
    );
    return { result, events: rows };
  }

  async function changesOf<T>(work: () => Promise<T>) {
    const before = await digests();
    const result = await work();
    const after = await digests();
    return {
      result,
      changed: [...after]
        .filter(([table, digest]) => before.get(table) !== digest)
        .map(([one]) => one)
        .sort(),
    };
  }

  /** By where each row stands and who wrote it: whole rows, with the compiled policy of every workspace, take seconds. */
  async function digests(): Promise<Map<string, string>> {
    const { rows: tables } = await client.query(
      `SELECT c.relname AS name FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
       AND NOT c.relispartition AND (c.relname NOT LIKE 'audit\\_%' OR c.relname IN ('audit_personal', 'audit_holds'))
       ORDER BY 1`,
    );
    const parts = tables.map(
      ({ name }) =>
        `SELECT '${name}' AS name,
           md5(coalesce(string_agg(r.tableoid || ' ' || r.ctid || ' ' || r.xmin, '|' ORDER BY r.tableoid, r.ctid), '')) AS digest
         FROM ${name} r`,
    );
    const { rows } = await client.query(parts.join(' UNION ALL '));
    return new Map(rows.map(({ name, digest }) => [name, digest]));
  }

  async function metric(line: string): Promise<number> {
    const answer = await fetch(`${service.service.opsUrl}/metrics`);
    const text = await answer.text();
    const found = text.split('\n').find((one) => one.startsWith(`${line} `));
    return found === undefined ? 0 : Number(found.slice(line.length + 1));
  }

  return {
    ...service,
    pass: (ms) => {
      moved += ms;
    },
    now,
    expect,
    workspace,
    sandboxAgent,
    governedAgent,
    sql: async (text, params) => void (await client.query(text, params)),
    eventsOf,
    changesOf,
    metric,
  };
}
