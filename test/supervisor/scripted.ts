import { IsolationUnavailable } from '../../src/runtime/errors.ts';
import type {
  ClusterAgent,
  ClusterAgentState,
  ClusterHost,
  Isolation,
  IsolationState,
  LocalHost,
  Replica,
  ReplicaExit,
  ReplicaRequest,
} from '../../src/runtime/isolation.ts';

const AVAILABLE: IsolationState = { available: true, limits: 'enforced', version: '0' };
const UNKNOWN = { peakMemoryBytes: null, cpuMs: null };

/** One process as the supervisor sees it, which ends when the test says so. */
export interface ScriptedReplica extends Replica {
  readonly request: ReplicaRequest;
  readonly launchedAt: number;
  /** ms of grace of each stop that was asked for. */
  readonly stops: number[];
  /** It ends by itself. */
  exit(exit?: Partial<ReplicaExit>): void;
  readonly isOver: boolean;
}

export interface ScriptedHost extends LocalHost {
  /** Every replica that was ever launched, the oldest first. */
  readonly launched: ScriptedReplica[];
  readonly running: readonly ScriptedReplica[];
  /** True: SIGTERM is ignored, and only the end of the grace ends it. */
  stubborn: boolean;
  /** Every launch ends at once with that code. */
  crashing: number | undefined;
}

export function scriptedHost(): ScriptedHost {
  const launched: ScriptedReplica[] = [];
  const host: ScriptedHost = {
    kind: 'local',
    launched,
    get running() {
      return launched.filter(({ isOver }) => !isOver);
    },
    stubborn: false,
    crashing: undefined,
    launch: async (request) => {
      const { promise: exited, resolve } = Promise.withResolvers<ReplicaExit>();
      const stops: number[] = [];
      let isOver = false;
      const end = (exit: Partial<ReplicaExit>) => {
        isOver = true;
        resolve({ cause: 'exited', exitCode: null, signal: null, usage: UNKNOWN, ...exit });
      };
      const replica: ScriptedReplica = {
        request,
        launchId: request.launchId,
        launchedAt: performance.now(),
        stops,
        exited,
        egress: [],
        get isOver() {
          return isOver;
        },
        exit: (exit = { exitCode: 0 }) => end(exit),
        stop: (graceMs) => {
          stops.push(graceMs);
          if (graceMs === 0 || !host.stubborn) end({ cause: 'stopped', signal: graceMs === 0 ? 'SIGKILL' : 'SIGTERM' });
          else setTimeout(() => end({ cause: 'stopped', signal: 'SIGKILL' }), graceMs).unref();
          return exited;
        },
      };
      launched.push(replica);
      if (host.crashing !== undefined) replica.exit({ exitCode: host.crashing });
      return replica;
    },
  };
  return host;
}

export interface ScriptedIsolation extends Isolation {
  setState(state: IsolationState): void;
}

/** Isolation that runs no command and whose agents are the test's. */
export function isolationOf(agents: LocalHost | ClusterHost): ScriptedIsolation {
  let state = AVAILABLE;
  return {
    name: agents.kind === 'cluster' ? 'kubernetes' : 'bubblewrap',
    state: async () => state,
    recheck: async () => state,
    setState: (next) => {
      state = next;
    },
    openSandbox: async () => {
      throw new IsolationUnavailable({ check: 'scripted', observed: 'a script', fix: 'none' });
    },
    agents,
    close: async () => undefined,
  };
}

/** A cluster in memory: pods wait at their gate until they are admitted. */
export interface ScriptedCluster extends ClusterHost {
  readonly agents: Map<string, ScriptedDeployment>;
  readonly applied: ClusterAgent[];
  readonly removed: { readonly agentId: string; readonly graceMs: number }[];
  /** A container of the agent is restarted in place. */
  restart(agentId: string, exitCode: number): void;
}

interface ScriptedDeployment {
  agent: ClusterAgent;
  pods: Map<string, 'waiting' | 'ready'>;
  restarts: number;
  lastExit?: ClusterAgentState['lastExit'];
}

export function scriptedCluster(): ScriptedCluster {
  const agents = new Map<string, ScriptedDeployment>();
  const applied: ClusterAgent[] = [];
  const removed: { agentId: string; graceMs: number }[] = [];
  let pods = 0;
  return {
    kind: 'cluster',
    agents,
    applied,
    removed,
    apply: async (agent) => {
      applied.push(agent);
      const known = agents.get(agent.agentId) ?? { agent, pods: new Map(), restarts: 0 };
      known.agent = agent;
      agents.set(agent.agentId, known);
      for (const name of [...known.pods.keys()].slice(agent.replicas)) known.pods.delete(name);
      for (; known.pods.size < agent.replicas; pods += 1) known.pods.set(`pod-${pods}`, 'waiting');
    },
    observe: async () =>
      [...agents].map(([agentId, { agent, pods: its, restarts, lastExit }]) => ({
        workspaceId: agent.workspaceId,
        agentId,
        generation: agent.generation,
        readyReplicas: [...its.values()].filter((state) => state === 'ready').length,
        waiting: [...its].filter(([, state]) => state === 'waiting').map(([name]) => name),
        restarts,
        ...(lastExit === undefined ? {} : { lastExit }),
      })),
    admit: async (pod) => {
      for (const { pods: its } of agents.values()) if (its.has(pod)) its.set(pod, 'ready');
    },
    remove: async (_workspaceId, agentId, graceMs) => {
      removed.push({ agentId, graceMs });
      agents.delete(agentId);
    },
    logs: async (_workspaceId, agentId, { signal }, onOutput) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      signal.addEventListener('abort', () => resolve(), { once: true });
      for (const pod of agents.get(agentId)?.pods.keys() ?? []) onOutput(pod, Buffer.from(`hello from ${pod}\n`));
      await promise;
    },
    restart: (agentId, exitCode) => {
      const deployment = agents.get(agentId);
      if (deployment === undefined) throw new Error('no such deployment');
      deployment.restarts += 1;
      const at = new Date().toISOString();
      deployment.lastExit = { cause: 'exited', exitCode, signal: null, usage: UNKNOWN, at };
    },
  };
}
