import type { AuditAppender, Claim, UnitScope } from '../audit/append.ts';
import type { Actor } from '../audit/event.ts';
import { NotFound } from '../http/problem.ts';
import { newId } from '../ids.ts';
import type { RevalidationPort, RevalidationState } from '../policy/revalidation-port.ts';
import type { Storage } from '../storage/storage.ts';
import { NotGoverned } from './errors.ts';
import type { AgentResult } from './outcome.ts';
import {
  countGoverned,
  findAbandoned,
  findRevalidation,
  insertRevalidation,
  modesOf,
  type RevalidationRow,
} from './store.ts';
import type { RevalidationCause } from './table.ts';
import { LEASE_MS, runRevalidation, type WorkerOptions } from './worker.ts';

/** Revalidations this process works on at once; others wait for the next round of `resume`. */
const MAX_RUNS = 4;
/** Contract §5. */
const MAX_RESULTS = 500;

interface BeginRequest {
  readonly workspaceId: string;
  readonly policyHash: string;
  readonly cause: RevalidationCause;
  readonly actor: Actor;
  readonly traceId?: string | undefined;
  /** Ascending, each governed; none: every governed agent. */
  readonly agentIds?: readonly string[];
  /** Without an event, for when none can be signed: what it finds has events of its own. */
  readonly unannounced?: boolean;
}

type StartedRevalidation = RevalidationState & { readonly id: string };

interface RevalidationAnswer {
  /** Empty unless done in time. */
  readonly results: AgentResult[];
  readonly revalidation: StartedRevalidation;
}

export interface RevalidationService extends RevalidationPort {
  begin(scope: UnitScope, request: BeginRequest): Promise<StartedRevalidation>;
  /**
   * Checks the agents named, or all governed ones, against the active policy. NotFound, NotGoverned for a bad name. The
   * claim takes the answer as it is when the revalidation begins.
   */
  request(
    workspaceId: string,
    agentIds: readonly string[] | undefined,
    caller: { actor: Actor; traceId?: string | undefined },
    waitMs: number,
    claim?: Claim<RevalidationAnswer>,
  ): Promise<RevalidationAnswer>;
  /** NotFound when the workspace has no such revalidation. */
  find(workspaceId: string, id: string): Promise<RevalidationRow>;
  /** Takes up what nobody works on, over all workspaces, and resolves when those have come to an end or a pause. */
  resume(signal: AbortSignal): Promise<void>;
  /** Resolves when nothing that this process began is under way. */
  settled(): Promise<void>;
  /** Ends after the pages under way; what is not done is left to other replicas. */
  close(): Promise<void>;
}

interface LocalRun {
  readonly ended: Promise<void>;
  readonly results: AgentResult[];
}

export type RevalidationOptions = WorkerOptions & {
  readonly storage: Storage;
  readonly audit: AuditAppender;
  readonly failed: (error: unknown) => void;
};

/** Starts revalidations, works on them, and says how far they are. */
export function createRevalidationService(options: RevalidationOptions): RevalidationService {
  const { storage, audit, clock, workerId } = options;
  const closing = new AbortController();
  const runs = new Map<string, LocalRun>();

  async function begin(scope: UnitScope, request: BeginRequest): Promise<StartedRevalidation> {
    const { workspaceId, policyHash, cause, actor, traceId, agentIds, unannounced = false } = request;
    const id = newId();
    const total = agentIds?.length ?? (await countGoverned(scope.trx, workspaceId));
    await insertRevalidation(scope.trx, {
      workspaceId,
      id,
      cause,
      policyHash,
      agentIds,
      total,
      actor,
      // Ours from the start, so that this process can answer with the results.
      lease: { by: workerId, until: new Date(scope.now + LEASE_MS) },
      now: new Date(scope.now),
    });
    const payload = { revalidationId: id, policyHash, cause, agents: total };
    if (!unannounced) scope.append({ type: 'revalidation.requested', actor, payload, traceId });
    return { id, state: total === 0 ? 'done' : 'running', total, done: 0, invalidated: 0 };
  }

  async function request(
    workspaceId: string,
    agentIds: readonly string[] | undefined,
    caller: { actor: Actor; traceId?: string | undefined },
    waitMs: number,
    claim?: Claim<RevalidationAnswer>,
  ): Promise<RevalidationAnswer> {
    const ids = agentIds === undefined ? undefined : [...new Set(agentIds)].sort();
    const begun = await audit.commit<RevalidationAnswer>({
      chain: workspaceId,
      claim,
      work: async (scope) => {
        if (ids !== undefined) await requireGoverned(scope, workspaceId, ids);
        const { hash } = await options.head(scope.trx, workspaceId);
        const named = ids === undefined ? {} : { agentIds: ids };
        const request = { workspaceId, policyHash: hash, cause: 'request', ...caller, ...named } as const;
        return { results: [], revalidation: await begin(scope, request) };
      },
    });
    const { id } = begun.revalidation;
    const run = startRun(workspaceId, id);
    const revalidation = await waitFor(workspaceId, id, run, waitMs);
    const results = revalidation.state === 'done' ? (run?.results ?? []) : [];
    return { results: results.toSorted(byAgent).slice(0, MAX_RESULTS), revalidation };
  }

  function follow(workspaceId: string, id: string, waitMs: number): Promise<RevalidationState> {
    return waitFor(workspaceId, id, startRun(workspaceId, id), waitMs);
  }

  async function waitFor(
    workspaceId: string,
    id: string,
    run: LocalRun | undefined,
    waitMs: number,
  ): Promise<StartedRevalidation> {
    if (run !== undefined) await raceTimeout(run.ended, waitMs);
    return stateOf(await find(workspaceId, id));
  }

  /** Undefined when this process has enough to do, or is closing: the lease runs out and somebody resumes it. */
  function startRun(workspaceId: string, id: string): LocalRun | undefined {
    const running = runs.get(id);
    if (running !== undefined) return running;
    if (runs.size >= MAX_RUNS || closing.signal.aborted) return undefined;
    const results: AgentResult[] = [];
    const report = (page: readonly AgentResult[]) => {
      if (results.length < MAX_RESULTS) results.push(...page);
    };
    const ended = runRevalidation(options, workspaceId, id, closing.signal, report)
      .then(() => undefined, options.failed)
      .finally(() => runs.delete(id));
    const run = { ended, results };
    runs.set(id, run);
    return run;
  }

  async function find(workspaceId: string, id: string): Promise<RevalidationRow> {
    const row = await storage.read(workspaceId, (trx) => findRevalidation(trx, workspaceId, id));
    if (row === undefined) throw new NotFound();
    return row;
  }

  async function resume(signal: AbortSignal): Promise<void> {
    const free = MAX_RUNS - runs.size;
    if (free <= 0 || signal.aborted) return;
    const abandoned = await storage.system((trx) => findAbandoned(trx, new Date(clock()), free));
    const ended = Promise.all(abandoned.map(({ workspace_id, id }) => startRun(workspace_id, id)?.ended));
    // Who stops the rounds does not wait for runs: those pause when this service closes.
    const { promise: stopped, resolve: stop } = Promise.withResolvers<void>();
    signal.addEventListener('abort', () => stop(), { once: true });
    await Promise.race([ended, stopped]);
  }

  async function close(): Promise<void> {
    closing.abort();
    await settled();
  }

  async function settled(): Promise<void> {
    await Promise.all([...runs.values()].map((run) => run.ended));
  }

  return { begin, request, follow, find, resume, settled, close };
}

/** How far a revalidation is, as answers show it. */
export function stateOf(row: RevalidationRow): StartedRevalidation {
  const { id, state, total, done, invalidated } = row;
  return { id, state, total, done, invalidated };
}

async function requireGoverned(scope: UnitScope, workspaceId: string, ids: readonly string[]): Promise<void> {
  const agents = await modesOf(scope.trx, workspaceId, ids);
  if (agents.length !== ids.length) throw new NotFound();
  const sandbox = agents.find((agent) => agent.mode !== 'governed');
  if (sandbox !== undefined) throw new NotGoverned(sandbox.id);
}

async function raceTimeout(ended: Promise<void>, waitMs: number): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, waitMs);
  await Promise.race([ended, late]);
  clearTimeout(timer);
}

function byAgent(a: AgentResult, b: AgentResult): number {
  return a.agentId < b.agentId ? -1 : 1;
}
