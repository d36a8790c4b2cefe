import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { Pool } from 'undici';

import type { FloodCounts, FloodOptions } from './flood.ts';
import { type Probe, type ProbeCounts, startProbe } from './probe.ts';

/** A service with the development identities and the workspaces `demo`, which is flooded, and `other`, which is not. */
export interface OverloadTarget {
  readonly api: string;
  readonly ops: string;
  readonly certsDir: string;
}

export interface OverloadOptions {
  readonly seconds: number;
  /** Connections that ask again at once, whatever they are answered. */
  readonly connections: number;
  /** How long the time before and the wait for recovery may take. */
  readonly quietSeconds?: number;
  readonly recoveryLimitSeconds?: number;
}

type Phase = Readonly<Record<ProbeName, ProbeCounts>>;

export interface OverloadResult {
  /** What the flood was answered, and its 429 and 503 without a usable Retry-After. */
  readonly flood: FloodCounts;
  readonly before: Phase;
  /** While the connections of the flood are made: handshakes cost more than requests. */
  readonly connecting: Phase;
  readonly during: Phase;
  /** Seconds until the quiet tenant's requests were as before; undefined: not within the limit. */
  readonly recoveredAfterSeconds: number | undefined;
}

type ProbeName = 'quietRead' | 'quietWrite' | 'noisyBrake' | 'quietBrake' | 'livez' | 'readyz';

/** Agents that are started over and over: one alone would make every start wait for the one before. */
const FLOODED_AGENTS = 32;

/** A second of probes counts as recovered when nothing is refused and its slowest is not much above those before. */
const RECOVERED_SLACK_MS = 50;

/**
 * Floods the workspace `demo` as `operator`, while a tenant of `other`, the brakes of both and the health listener are
 * watched from outside. Judges nothing.
 */
export async function runOverload(target: OverloadTarget, options: OverloadOptions): Promise<OverloadResult> {
  const { seconds, connections, quietSeconds = 3, recoveryLimitSeconds = 20 } = options;
  const agents = {
    demo: await createAgent(target, 'operator', 'demo'),
    other: await createAgent(target, 'outsider', 'other'),
  };
  const flooded: string[] = [];
  for (let made = 0; made < FLOODED_AGENTS; made += 1) flooded.push(await createAgent(target, 'operator', 'demo'));
  const { probes, close } = startProbes(target, agents);
  try {
    takeAll(probes);
    await delay(quietSeconds * 1000);
    const before = takeAll(probes);
    const flood = startFlood({ ...target, who: 'operator', connections, requests: floodRequests(flooded) });
    await flood.connected;
    const connecting = takeAll(probes);
    await delay(seconds * 1000);
    const during = takeAll(probes);
    const ended = performance.now();
    const counts = flood.stop();
    const recoveredAfterSeconds = await recovery(probes, before, ended, recoveryLimitSeconds);
    return { flood: await counts, before, connecting, during, recoveredAfterSeconds };
  } finally {
    await close();
  }
}

function floodRequests(agentIds: readonly string[]): FloodOptions['requests'] {
  const agents = '/v1/workspaces/demo/agents';
  const create = { method: 'POST', path: agents, body: JSON.stringify({ spec: { name: 'flood' } }) } as const;
  return agentIds.flatMap((agentId) => [
    create,
    { method: 'GET', path: `${agents}/${agentId}/status` },
    { method: 'POST', path: `${agents}/${agentId}/start` },
    { method: 'GET', path: `${agents}?limit=10` },
  ]);
}

function startFlood(options: FloodOptions) {
  const worker = new Worker(new URL('./flood.ts', import.meta.url), { workerData: options });
  const connected = once(worker, 'message');
  return {
    connected,
    stop: async (): Promise<FloodCounts> => {
      const said = once(worker, 'message');
      worker.postMessage('stop');
      const [counts]: FloodCounts[] = await said;
      if (counts === undefined) throw new Error('the flood said nothing');
      return counts;
    },
  };
}

async function recovery(
  probes: Probes,
  before: Phase,
  since: number,
  limitSeconds: number,
): Promise<number | undefined> {
  while (performance.now() - since < limitSeconds * 1000) {
    const began = performance.now();
    takeAll(probes);
    await delay(1000);
    const now = takeAll(probes);
    const well = (['quietRead', 'quietWrite'] as const).every((name) => {
      const refused = Object.keys(now[name].statuses).some((status) => !status.startsWith('2'));
      return !refused && now[name].maxMs <= before[name].maxMs + RECOVERED_SLACK_MS;
    });
    if (well) return Math.round((began - since) / 100) / 10;
  }
  return undefined;
}

type Probes = Readonly<Record<ProbeName, Probe>>;

function startProbes(target: OverloadTarget, agents: { demo: string; other: string }) {
  const noisy = poolOf(target, 'operator');
  const quiet = poolOf(target, 'outsider');
  const ops = new Pool(target.ops, { connections: 8 });
  const ask = (pool: Pool, method: 'GET' | 'POST', path: string) => async () => {
    const answer = await pool.request({ method, path });
    await answer.body.dump();
    return answer.statusCode;
  };
  const agent = (workspace: 'demo' | 'other') => `/v1/workspaces/${workspace}/agents/${agents[workspace]}`;
  const probes: Probes = {
    quietRead: startProbe(20, ask(quiet, 'GET', `${agent('other')}/status`)),
    quietWrite: startProbe(10, ask(quiet, 'POST', `${agent('other')}/start`)),
    quietBrake: startProbe(5, ask(quiet, 'POST', `${agent('other')}/stop`)),
    noisyBrake: startProbe(5, ask(noisy, 'POST', `${agent('demo')}/stop`)),
    livez: startProbe(10, ask(ops, 'GET', '/livez')),
    readyz: startProbe(1, ask(ops, 'GET', '/readyz')),
  };
  const close = async () => {
    await Promise.all(Object.values(probes).map((probe) => probe.stop()));
    await Promise.all([noisy, quiet, ops].map((pool) => pool.close()));
  };
  return { probes, close };
}

function takeAll(probes: Probes): Phase {
  return {
    quietRead: probes.quietRead.take(),
    quietWrite: probes.quietWrite.take(),
    noisyBrake: probes.noisyBrake.take(),
    quietBrake: probes.quietBrake.take(),
    livez: probes.livez.take(),
    readyz: probes.readyz.take(),
  };
}

function poolOf({ api, certsDir }: OverloadTarget, who: string): Pool {
  const pem = (name: string) => readFileSync(join(certsDir, name));
  return new Pool(api, {
    connections: 16,
    connect: { ca: pem('ca.crt'), cert: pem(`${who}.crt`), key: pem(`${who}.key`) },
  });
}

async function createAgent(target: OverloadTarget, who: string, workspace: string): Promise<string> {
  const pool = poolOf(target, who);
  const answer = await pool.request({
    method: 'POST',
    path: `/v1/workspaces/${workspace}/agents`,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      spec: { name: 'overload', model: { provider: 'p', name: 'm' }, instructions: 'i', capabilities: [] },
    }),
  });
  const created: unknown = await answer.body.json();
  await pool.close();
  if (typeof created === 'object' && created !== null && 'id' in created) return String(created.id);
  throw new Error(`no agent was created: ${JSON.stringify(created)}`);
}
