import type { RuntimeDriverName } from '../config/runtime.ts';
import type { IsolationProblem } from './errors.ts';

/** What one sandbox, or one replica of an agent, gets. */
export interface Limits {
  /** Cores. */
  readonly cpu: number;
  readonly memoryBytes: number;
  /** Processes and threads. */
  readonly pids: number;
  /** Of the working directory. */
  readonly diskBytes: number;
}

/** How well the driver can isolate here. `degraded`: memory, processes and disk are not limited, because a setting allows it. */
export type IsolationState =
  | { readonly available: true; readonly limits: 'enforced' | 'degraded'; readonly version: string }
  | { readonly available: false; readonly problem: IsolationProblem };

export type Stream = 'stdout' | 'stderr';

/** Takes output as it comes; `chunk` is only valid during the call. */
export type OutputSink = (stream: Stream, chunk: Buffer) => void;

/** One decision of the egress proxy about one connection. */
export interface EgressDecision {
  /** RFC 3339. */
  readonly at: string;
  readonly host: string;
  readonly port: number;
  readonly verdict: 'allowed' | 'denied';
  /** Why it was denied, such as NOT_ON_ALLOWLIST. */
  readonly code?: string;
  readonly bytesOut: number;
  readonly bytesIn: number;
}

/** What a process used; null where it cannot be known (degraded limits, or a cluster without metrics). */
export interface Usage {
  readonly peakMemoryBytes: number | null;
  readonly cpuMs: number | null;
}

/** Contract §6. */
export const COMMAND_OUTCOMES = [
  'ok',
  'failed',
  'timeout',
  'oom',
  'output_limit',
  'disk_limit',
  'cancelled',
  'setup_failed',
] as const;
export type CommandOutcome = (typeof COMMAND_OUTCOMES)[number];

/** Output as it is kept: its head and its tail. */
export interface Captured {
  /** UTF-8, what is none replaced; between head and tail a line that says how many bytes are left out. */
  readonly text: string;
  /** All that was written, kept or not. */
  readonly bytes: number;
  readonly truncated: boolean;
}

export interface CommandResult {
  readonly result: CommandOutcome;
  /** As a shell says it; null when it was ended for its time, its output or a cancellation, or never began. */
  readonly exitCode: number | null;
  /** Such as SIGSEGV. */
  readonly signal: string | null;
  readonly stdout: Captured;
  readonly stderr: Captured;
  readonly durationMs: number;
  readonly usage: Usage;
  /** Of `setup_failed`: what was seen, for operators; no paths of this machine. */
  readonly problem?: string;
}

export interface SandboxRequest {
  /** UUID; opaque, names nothing outside. */
  readonly runId: string;
  readonly workspaceId: string;
  readonly agentId: string;
  readonly limits: Limits;
  /** All that the environment has besides PATH, HOME, TMPDIR, LANG and, with an allowlist, the proxy variables. */
  readonly env: Readonly<Record<string, string>>;
  /** Hosts that may be reached, `*.` for subdomains; empty: no network at all. */
  readonly allowDomains: readonly string[];
  /** ms from now; a cluster ends it by then even when the service is gone. */
  readonly lifetimeMs: number;
}

/** One working directory and its network for the commands of one run. */
export interface Sandbox {
  /** One command by `sh -c`; whatever it leaves running ends with it. Never rejects for what the command does. */
  run(
    command: string,
    options: { readonly timeoutMs: number; readonly signal: AbortSignal; readonly onOutput?: OutputSink },
  ): Promise<CommandResult>;
  /** Decisions of the egress proxy so far, at most the first 1,000. */
  readonly egress: readonly EgressDecision[];
  /** Resolves when nothing of it is left: no process, mount, cgroup, file, descriptor. Safe to call twice. */
  close(): Promise<void>;
}

export interface ReplicaRequest {
  readonly workspaceId: string;
  readonly agentId: string;
  /** UUID of this launch. */
  readonly launchId: string;
  /** Program and arguments; no shell. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Contents of /run/secrets by name; only this replica sees them. */
  readonly secrets: ReadonlyMap<string, Buffer>;
  readonly limits: Limits;
  /** Empty: no network at all. */
  readonly allowDomains: readonly string[];
  readonly onOutput: OutputSink;
}

export interface ReplicaExit {
  /** `exited`: by itself, whatever its code; `stopped`: it was told to; `lost`: nobody saw how. */
  readonly cause: 'exited' | 'stopped' | 'oom' | 'output_limit' | 'disk_limit' | 'setup_failed' | 'lost';
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly usage: Usage;
  readonly problem?: string;
}

/** One running process tree of an agent on this machine. */
export interface Replica {
  readonly launchId: string;
  /** Never rejects; nothing of the replica is left when it resolves. */
  readonly exited: Promise<ReplicaExit>;
  /** SIGTERM, `graceMs` later the end; 0: the end at once. Resolves with the exit. Safe to call again with less grace. */
  stop(graceMs: number): Promise<ReplicaExit>;
  readonly egress: readonly EgressDecision[];
}

/** Runs the replicas of agents in processes of its own, which end with the service. */
export interface LocalHost {
  readonly kind: 'local';
  /** Resolves once the command itself runs. Throws IsolationUnavailable, or RuntimeUnsupported. */
  launch(request: ReplicaRequest): Promise<Replica>;
}

/** What a cluster is asked to keep running. */
export interface ClusterAgent {
  readonly workspaceId: string;
  readonly agentId: string;
  readonly replicas: number;
  /** Of the start or scaling that wants it so: what is older never overwrites what is newer. */
  readonly generation: number;
  readonly image: string | undefined;
  readonly command: readonly string[] | undefined;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly secrets: ReadonlyMap<string, Buffer>;
  readonly limits: Limits;
  readonly allowDomains: readonly string[];
}

/** What the cluster has of one agent. */
export interface ClusterAgentState {
  readonly workspaceId: string;
  readonly agentId: string;
  readonly generation: number;
  readonly readyReplicas: number;
  /** Pods that wait at their gate for an admission. */
  readonly waiting: readonly string[];
  /** Container restarts in place since the agent was applied. */
  readonly restarts: number;
  readonly lastExit?: ReplicaExit & { readonly at: string };
}

/** Keeps agents running in a cluster, where they live on without the service and are found again. */
export interface ClusterHost {
  readonly kind: 'cluster';
  apply(agent: ClusterAgent): Promise<void>;
  /** Every agent of ours in the cluster. */
  observe(): Promise<readonly ClusterAgentState[]>;
  /** Opens the gate of one waiting pod. */
  admit(pod: string): Promise<void>;
  /** Takes the agent away with all it has. Resolves when the cluster has taken it on. */
  remove(workspaceId: string, agentId: string, graceMs: number): Promise<void>;
  /** Output of its pods, oldest first, until the signal when followed. */
  logs(
    workspaceId: string,
    agentId: string,
    options: { readonly follow: boolean; readonly tailBytes: number; readonly signal: AbortSignal },
    onOutput: (pod: string, chunk: Buffer) => void,
  ): Promise<void>;
}

/** Isolation as one driver has it. Every driver passes test/conformance/isolation. */
export interface Isolation {
  readonly name: RuntimeDriverName;
  /** Whether it can be had: cheap, from the last check, which `recheck` makes again. */
  state(): Promise<IsolationState>;
  recheck(): Promise<IsolationState>;
  /** Of this machine, where the driver has them. */
  readonly slots?: { readonly used: number; readonly total: number };
  /** Throws IsolationUnavailable. */
  openSandbox(request: SandboxRequest): Promise<Sandbox>;
  /** Removes what a process that is gone has left of a run; not there where nothing outlives the process. */
  discard?(runId: string): Promise<void>;
  readonly agents: LocalHost | ClusterHost;
  /** Ends everything that runs on this machine and leaves nothing. */
  close(): Promise<void>;
}
