import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

import { reload } from '../../system/support/policies.ts';
import { SPEC } from '../../system/support/world.ts';
import type { FaultClient } from './client.ts';
import type { Call, History, Operation, Outcome } from './history.ts';
import type { Random } from './random.ts';

/** ms; after a call without an answer, so that an instance that is away is not asked a thousand times. */
const PAUSE_MS = 200;
/** Agents that a client works on at a time; older ones are left as they are. */
const MAX_OWN = 6;
/** Attempts of one request after a recovery, before it counts as never answered. */
const MAX_ATTEMPTS = 40;
const BUDGETS = [4000, 5000] as const;

/** Where a call goes: the instance's name and its API. */
export interface Target {
  readonly name: string;
  readonly apiUrl: string;
}

export interface Canaries {
  /** In a name of every agent of that workspace. */
  readonly marks: readonly { readonly workspaceId: string; readonly value: string }[];
  /** In every body, where a spec or a reason takes text. */
  readonly instructions: string;
  readonly reason: string;
  /** In a header of every call. */
  readonly header: string;
}

export interface LoadParts {
  readonly client: FaultClient;
  readonly history: History;
  readonly canaries: Canaries;
  readonly random: Random;
  /** Asked before every call. */
  readonly target: (client: number) => Target;
  /** Ms between the calls of a client; 0 for as many as there is room for. */
  readonly thinkMs: number;
  /** True when the service keeps the first answer to an Idempotency-Key; else nothing is sent twice. */
  readonly keys: boolean;
}

export interface Load {
  /** Stops after the calls under way. */
  stop(): Promise<void>;
  /** Sends everything again that had a key and no answer, or a 5xx, until it is answered. */
  settle(): Promise<void>;
}

interface Request {
  readonly who: string;
  readonly workspaceId: string;
  readonly operation: Operation;
  readonly agentId?: string;
  readonly body?: object;
  readonly key?: string;
}

const WEIGHTS = {
  create: 20,
  start: 28,
  stop: 16,
  promote: 8,
  'promote-denied': 3,
  'start-denied': 4,
  quarantine: 3,
  release: 4,
  reload: 1,
  foreign: 3,
  'wrong-role': 1,
  status: 6,
  snapshot: 3,
} as const;

const PATHS: Readonly<Record<Operation, string>> = {
  createAgent: '/agents',
  startAgent: '/agents/{id}/start',
  stopAgent: '/agents/{id}/stop',
  promoteAgent: '/agents/{id}/promote',
  quarantineAgent: '/agents/{id}/quarantine',
  releaseAgent: '/agents/{id}/release',
  hotReloadPolicy: '/policy/hotreload',
  getAgentStatus: '/agents/{id}/status',
  getPolicySnapshot: '/policy/snapshot',
};

/** Clients that go on, each with numbers of its own, until they are stopped. */
export function startLoad(parts: LoadParts, clients: number): Load {
  const { random, history } = parts;
  let stopping = false;
  const unanswered: { client: number; request: Request }[] = [];

  async function client(number: number): Promise<void> {
    const own: Agents = { demo: [], other: [], denied: [] };
    const dice = random.fork(`client ${number}`);
    while (!stopping) {
      const request = next(dice, own, parts.canaries, parts.keys);
      const outcome = await attempt(number, request);
      if (outcome.kind === 'answered' && outcome.status < 500) {
        remember(own, request, outcome);
        if (parts.thinkMs > 0) await delay(parts.thinkMs);
      } else {
        if (request.key !== undefined) unanswered.push({ client: number, request });
        await delay(PAUSE_MS);
      }
    }
  }

  async function attempt(number: number, request: Request): Promise<Outcome> {
    const { who, workspaceId, operation, agentId, body, key } = request;
    const target = parts.target(number);
    const traceId = randomBytes(16).toString('hex');
    const sentAt = performance.now();
    const outcome = await parts.client.send(target.apiUrl, {
      who,
      workspaceId,
      method: operation.startsWith('get') ? 'GET' : 'POST',
      path: `/v1/workspaces/${workspaceId}${PATHS[operation].replace('{id}', agentId ?? '')}`,
      body,
      headers: {
        traceparent: `00-${traceId}-${traceId.slice(0, 15)}1-01`,
        cookie: `session=${parts.canaries.header}`,
        ...(key === undefined ? {} : { 'idempotency-key': key }),
      },
    });
    const call: Call = {
      traceId,
      instance: target.name,
      who,
      workspaceId,
      operation,
      agentId,
      key,
      sentAt,
      endedAt: performance.now(),
      outcome,
    };
    history.add(call);
    return outcome;
  }

  async function settle(): Promise<void> {
    for (const { client: number, request } of unanswered.splice(0)) {
      for (let left = MAX_ATTEMPTS; ; left -= 1) {
        const outcome = await attempt(number, request);
        // A conflict in flight: the first attempt has not come to its end.
        const open = outcome.kind === 'unknown' || outcome.status >= 500 || outcome.code === 'IDEMPOTENCY_IN_FLIGHT';
        if (!open || left === 0) break;
        await delay(PAUSE_MS);
      }
    }
  }

  const running = Promise.all(Array.from({ length: clients }, (_, number) => client(number)));
  return {
    stop: async () => {
      stopping = true;
      await running;
    },
    settle,
  };
}

/** Agents a client knows of, by workspace; those that no admission lets start are apart. */
interface Agents {
  readonly demo: string[];
  readonly other: string[];
  readonly denied: string[];
}

function next(dice: Random, own: Agents, canaries: Canaries, keys: boolean): Request {
  const kind = dice.weighted(WEIGHTS);
  const elsewhere = dice.next() < 0.15;
  const workspaceId = elsewhere ? 'other' : 'demo';
  const agentId = oneOf(dice, own[workspaceId]);
  const key = keys && dice.next() < 0.7 ? { key: randomUUID() } : {};
  const who = elsewhere ? 'outsider' : 'operator';
  const on = { workspaceId, ...key, ...(agentId === undefined ? {} : { agentId }) };
  const create = (spec: object, where = workspaceId): Request => ({
    who: where === 'other' ? 'outsider' : 'operator',
    workspaceId: where,
    operation: 'createAgent',
    ...key,
    body: { spec: { ...SPEC, name: nameIn(where, canaries), instructions: canaries.instructions, ...spec } },
  });

  if (kind === 'snapshot') return { who: 'kernel-admin', workspaceId, operation: 'getPolicySnapshot' };
  if (kind === 'reload') {
    const body = reload({ monthlyUsd: dice.pick(BUDGETS) });
    return { who: 'kernel-admin', workspaceId, operation: 'hotReloadPolicy', body, ...key };
  }
  if (kind === 'wrong-role') return { ...create({}), who: 'auditor' };
  const denied = oneOf(dice, own.denied);
  if (kind === 'start-denied') {
    if (denied === undefined) return create({ containment: { externalCalls: true } }, 'demo');
    return { who: 'operator', workspaceId: 'demo', operation: 'startAgent', agentId: denied, ...key };
  }
  if (kind === 'create' || agentId === undefined) return create({});
  switch (kind) {
    case 'start':
      return { who, operation: 'startAgent', ...on };
    case 'stop':
      return { who, operation: 'stopAgent', ...on, body: { reason: canaries.reason } };
    case 'promote':
      return { who: 'kernel-admin', operation: 'promoteAgent', ...on };
    case 'promote-denied':
      return { who, operation: 'promoteAgent', ...on };
    case 'quarantine':
      return { who: 'kernel-admin', operation: 'quarantineAgent', ...on, body: { reason: canaries.reason } };
    case 'release':
      return { who: 'kernel-admin', operation: 'releaseAgent', ...on, body: { reason: canaries.reason } };
    case 'foreign':
      return {
        who: elsewhere ? 'operator' : 'outsider',
        operation: dice.pick(['startAgent', 'getAgentStatus', 'stopAgent']),
        ...on,
      };
    case 'status':
      return { who, operation: 'getAgentStatus', workspaceId, agentId };
  }
}

function remember(own: Agents, request: Request, outcome: Extract<Outcome, { kind: 'answered' }>): void {
  if (request.operation !== 'createAgent' || outcome.status !== 201 || outcome.agentId === undefined) return;
  const isDenied = JSON.stringify(request.body).includes('"externalCalls":true');
  const list = isDenied ? own.denied : request.workspaceId === 'other' ? own.other : own.demo;
  list.push(outcome.agentId);
  if (list.length > MAX_OWN) list.shift();
}

function nameIn(workspaceId: string, canaries: Canaries): string {
  const mark = canaries.marks.find((one) => one.workspaceId === workspaceId)?.value ?? '';
  return `agent ${mark}`;
}

function oneOf(dice: Random, list: readonly string[]): string | undefined {
  const [first, ...rest] = list;
  return first === undefined ? undefined : dice.pick([first, ...rest]);
}
