import { setTimeout as delay } from 'node:timers/promises';

import type { AdmissionService } from '../admission/service.ts';
import type { AdmissionSubject } from '../admission/subject.ts';
import type { Caller } from '../agents/caller.ts';
import { AgentError } from '../agents/errors.ts';
import { found, known } from '../agents/lookup.ts';
import type { Claim } from '../audit/append.ts';
import { retryStale } from '../audit/retry.ts';
import type { RuntimeConfig } from '../config/runtime.ts';
import { CodedError } from '../errors.ts';
import { NotFound, RetryLater } from '../http/problem.ts';
import { claimAs, type KeptItems } from '../idempotency/keyed-request.ts';
import { isUuid } from '../ids.ts';
import { IsolationUnavailable } from '../runtime/errors.ts';
import type { Isolation } from '../runtime/isolation.ts';
import type { Trx } from '../storage/database.ts';
import type { Storage } from '../storage/storage.ts';
import type { WorkspaceSettings } from '../workspace-settings/settings.ts';
import { ActiveRun, atOnce, type PlaceToBe } from './active.ts';
import type { Drive } from './drive.ts';
import type { Host } from './hosts.ts';
import { isolationView, planOf, type RunPlan } from './plan.ts';
import type { Place, RunQueue } from './queue.ts';
import type { RunReads } from './reads.ts';
import type { IsolationView, RunRequest, RunView } from './schema.ts';
import { deleteRunsOf, hasOpenRuns, type RunRow } from './store.ts';
import type { RunKey, RunUnits } from './units.ts';
import { isFinal } from './verdict.ts';
import { runView } from './views.ts';

/** Ms that a run whose caller waits may wait for a place. */
const PATIENCE_MS = 2000;
/** Ms beyond the time of a run in which its answer comes, the wait for a place included (contract §2). */
const SPARE_MS = 5000;
/** Ms between two looks at a run of another process. */
const LOOK_MS = 500;
/** Ms that a cancellation waits for the end before it answers. */
const CANCEL_MS = 2000;

/** The run goes on, and its results will be kept; its caller has waited long enough. */
class RunOverdue extends CodedError {
  readonly code = 'HANDLER_TIMEOUT';

  constructor(runId: string) {
    super('The run takes longer to end than its time; ask for it by its id.', { members: { run_id: runId } });
  }
}

export interface SandboxRuns {
  /**
   * Runs the commands and gives what came of them. Throws what planning throws, AdmissionDenied, IsolationUnavailable,
   * RetryLater when no place becomes free soon: nothing was run then.
   */
  run(
    workspaceId: string,
    agentId: string,
    request: RunRequest,
    caller: Caller,
    kept: { readonly items: KeptItems<RunKey> | undefined; readonly denial: Claim<CodedError> | undefined },
  ): Promise<RunView>;
  /** The same, without waiting for any of it. */
  enqueue(
    workspaceId: string,
    agentId: string,
    request: RunRequest,
    caller: Caller,
    claim: Claim<RunKey | CodedError> | undefined,
  ): Promise<RunKey>;
  /** Throws NotFound. */
  cancel(key: RunKey, caller: Caller, claim: Claim<RunRow> | undefined): Promise<RunView>;
  /** In the unit that deletes an agent: its runs go with it. Throws AgentError AGENT_RUNNING while one is open. */
  removeOf(trx: Trx, workspaceId: string, agentId: string): Promise<void>;
  /** Of this process. */
  readonly active: ReadonlyMap<string, ActiveRun>;
}

interface Parts {
  readonly storage: Storage;
  readonly admission: Pick<AdmissionService, 'load' | 'beforeSandboxRun'>;
  readonly settings: (trx: Trx, workspaceId: string) => Promise<WorkspaceSettings>;
  readonly units: RunUnits;
  readonly get: RunReads['get'];
  /** Undefined: nothing is run here. */
  readonly isolation: Isolation | undefined;
  readonly config: RuntimeConfig;
  readonly queue: RunQueue;
  readonly host: Host;
  readonly drive: Drive;
}

export function createSandboxRuns(parts: Parts): SandboxRuns {
  const { storage, admission, settings, units, get, isolation, config, queue, host, drive } = parts;
  const active = new Map<string, ActiveRun>();

  async function run(
    workspaceId: string,
    agentId: string,
    request: RunRequest,
    caller: Caller,
    kept: { readonly items: KeptItems<RunKey> | undefined; readonly denial: Claim<CodedError> | undefined },
  ): Promise<RunView> {
    const began = performance.now();
    const plan = await planned(workspaceId, agentId, request);
    const limit = plan.timeoutSeconds * 1000 + SPARE_MS;
    const earlier = kept.items?.find('run');
    if (earlier !== undefined) return finished(earlier, limit);
    let place: Place | undefined;
    const create = async () => {
      const subject = await admitted(workspaceId, agentId, caller, kept.denial);
      const view = await isolated(plan);
      place ??= await placeSoon(workspaceId, plan);
      return units.create(subject, { plan, isolation: view, status: 'running' }, caller, kept.items?.claim('run'));
    };
    const key = await retryStale(create).catch((error: unknown) => {
      place?.release();
      throw error;
    });
    if (place === undefined) throw new RangeError('a run without a place');
    begin(new ActiveRun(key, plan, atOnce(place)), false);
    return finished(key, limit - (performance.now() - began));
  }

  async function enqueue(
    workspaceId: string,
    agentId: string,
    request: RunRequest,
    caller: Caller,
    claim: Claim<RunKey | CodedError> | undefined,
  ): Promise<RunKey> {
    const plan = await planned(workspaceId, agentId, request);
    let placeToBe: { readonly isQueued: boolean; readonly to: PlaceToBe } | undefined;
    const create = async () => {
      const denial = claimAs(claim, (refusal: CodedError) => refusal);
      const subject = await admitted(workspaceId, agentId, caller, denial);
      const view = await isolated(plan);
      placeToBe ??= placeOrTurn(workspaceId, plan);
      const status = placeToBe.isQueued ? 'queued' : 'running';
      return units.create(subject, { plan, isolation: view, status }, caller, claim);
    };
    const key = await retryStale(create).catch((error: unknown) => {
      placeToBe?.to.leave();
      void placeToBe?.to.place.then((place) => place?.release());
      throw error;
    });
    if (placeToBe === undefined) throw new RangeError('a run without a turn');
    begin(new ActiveRun(key, plan, placeToBe.to), placeToBe.isQueued);
    return key;
  }

  async function planned(workspaceId: string, agentId: string, request: RunRequest): Promise<RunPlan> {
    known(agentId);
    const { sandbox } = await storage.read(workspaceId, (trx) => settings(trx, workspaceId));
    return planOf(request, sandbox, config);
  }

  async function admitted(
    workspaceId: string,
    agentId: string,
    caller: Caller,
    claim: Claim<CodedError> | undefined,
  ): Promise<AdmissionSubject> {
    const subject = found(await admission.load(workspaceId, agentId, caller));
    const denies = await admission.beforeSandboxRun(subject);
    if (denies.length > 0) throw await units.deny(subject, denies, caller, claim);
    return subject;
  }

  async function isolated(plan: RunPlan): Promise<IsolationView> {
    if (isolation === undefined) {
      throw new IsolationUnavailable({
        check: 'driver',
        observed: 'CASTELLAN_RUNTIME_DRIVER is off',
        fix: 'Set CASTELLAN_RUNTIME_DRIVER to bubblewrap or kubernetes.',
      });
    }
    const state = await isolation.state();
    if (!state.available) throw new IsolationUnavailable(state.problem);
    // Others must be able to see that this process lives before there is a run of it.
    await host.beat();
    return isolationView(plan, isolation.name, state);
  }

  function placeOrTurn(workspaceId: string, { concurrency }: RunPlan) {
    const place = queue.take(workspaceId, concurrency);
    if (place !== undefined) return { isQueued: false, to: atOnce(place) };
    const waiting = queue.wait(workspaceId, concurrency);
    if (waiting === undefined) throw noRoom(queue);
    return { isQueued: true, to: waiting };
  }

  async function placeSoon(workspaceId: string, plan: RunPlan): Promise<Place> {
    const { to } = placeOrTurn(workspaceId, plan);
    const timer = setTimeout(to.leave, PATIENCE_MS);
    const place = await to.place;
    clearTimeout(timer);
    if (place === undefined) throw noRoom(queue);
    return place;
  }

  function begin(one: ActiveRun, isQueued: boolean): void {
    active.set(one.key.runId, one);
    if (queue.isClosed) one.cancel('shutdown');
    void drive(one, isQueued).finally(() => active.delete(one.key.runId));
  }

  /** The run once it has ended, wherever it runs. Throws RunOverdue. */
  async function finished(key: RunKey, limitMs: number): Promise<RunView> {
    const until = performance.now() + limitMs;
    await within(active.get(key.runId)?.done, limitMs);
    for (;;) {
      const row = await get(key.workspaceId, key.agentId, key.runId);
      if (isFinal(row.status)) return runView(row);
      if (performance.now() + LOOK_MS > until) throw new RunOverdue(key.runId);
      await delay(LOOK_MS);
    }
  }

  async function cancel(key: RunKey, caller: Caller, claim: Claim<RunRow> | undefined): Promise<RunView> {
    if (!isUuid(key.runId) || !isUuid(key.agentId)) throw new NotFound();
    const row = await units.cancel(key, caller, claim);
    const one = active.get(key.runId);
    one?.cancel('caller');
    if (isFinal(row.status) || one === undefined) return runView(row);
    await within(one.done, CANCEL_MS);
    return runView(await get(key.workspaceId, key.agentId, key.runId));
  }

  async function removeOf(trx: Trx, workspaceId: string, agentId: string): Promise<void> {
    if (await hasOpenRuns(trx, workspaceId, agentId))
      throw new AgentError('AGENT_RUNNING', 'a sandbox run of the agent is open; cancel it, or wait for its end');
    await deleteRunsOf(trx, workspaceId, agentId);
  }

  return { run, enqueue, cancel, removeOf, active };
}

function noRoom(queue: RunQueue): RetryLater {
  if (queue.isClosed) return new RetryLater('OVERLOADED', 'This replica is shutting down; nothing was run.', 1000);
  return new RetryLater('OVERLOADED', 'Too many sandbox runs are under way here; nothing was run.', 2000);
}

async function within(done: Promise<void> | undefined, ms: number): Promise<void> {
  if (done === undefined) return;
  const over = new AbortController();
  const timer = delay(Math.max(0, ms), undefined, { signal: over.signal }).catch(() => undefined);
  await Promise.race([done, timer]);
  over.abort();
}
