import { setTimeout as delay } from 'node:timers/promises';

import { CodedError } from '../errors.ts';
import { newId } from '../ids.ts';
import type { LocalHost, Replica } from '../runtime/isolation.ts';
import { createBackoff } from './backoff.ts';
import { type Claim, wantedReplicas } from './claim.ts';
import type { KeptParts } from './kept-parts.ts';
import type { Places, Room } from './places.ts';
import type { Preparation, PreparedLaunch } from './prepare.ts';
import { type Attempt, createSlot, isHopeless, isItsOwn, neverRan, type Slot } from './slot.ts';

/** Tries to write down the end of a process while the database is away, and ms before each further one. */
const WRITES = 5;
const WRITE_AGAIN_MS = 1000;

export interface LocalAgentParts extends KeptParts {
  readonly host: LocalHost;
  /** False: launching would only fail, for no fault of the agent's. */
  readonly isAvailable: () => Promise<boolean>;
  readonly prepare: Preparation;
  /** Launches under way at once. */
  readonly launching: Places;
  /** For processes of all agents: one that was scaled up may want more of them than there is room for. */
  readonly room: Room;
}

/** The processes of one claimed agent on this machine. */
export interface LocalAgent {
  readonly claim: Claim;
  readonly ready: number;
  /** No process, and none about to be. */
  readonly isIdle: boolean;
  /** What is claimed and wanted now. */
  update(claim: Claim): void;
  /** What could not be written down is tried again. */
  tick(): void;
  /** Every process ends, and none is launched any more. Resolves when none is left. */
  end(graceMs: number): Promise<void>;
}

export function createLocalAgent(parts: LocalAgentParts, first: Claim): LocalAgent {
  const { outcomes, observe, log } = parts;
  const slots = new Map<number, { readonly slot: Slot; readonly startedGeneration: number }>();
  let claim = first;
  let closed = false;
  /** The start after which nothing is launched any more: it has failed. */
  let halted: number | undefined;
  /** Why, until the row says that it has failed. */
  let failure: { readonly code: string; readonly claim: Claim } | undefined;
  let isWriting = false;
  /** Why there was nothing to launch the last time. */
  let lacking: string | undefined;
  let launches = 0;

  function wanted(): number {
    return closed || halted === claim.startedGeneration ? 0 : wantedReplicas(claim);
  }

  function fill(): void {
    for (const [index, { slot, startedGeneration }] of slots) {
      if (index >= wanted() || startedGeneration !== claim.startedGeneration) slot.end(grace());
    }
    for (let index = 0; index < wanted(); index += 1) if (!slots.has(index)) open(index);
  }

  function grace(): number {
    const { isUrgent, status } = claim;
    // Stopped without anybody's saying so, such as by an edit: it is not to go on for long either.
    return isUrgent || status === null || status === 'stopped' ? 0 : parts.stopGraceMs;
  }

  function open(index: number): void {
    const { startedGeneration } = claim;
    const isWanted = () => index < wanted() && claim.startedGeneration === startedGeneration;
    const slot = createSlot({
      backoff: createBackoff(parts.restarts, parts.random),
      isWanted,
      attempt: (keep) => attempt(index, isWanted, keep),
      gaveUp: () => halt(lacking ?? 'RESTARTS_EXHAUSTED'),
      restarting: () => observe.restarted(),
      failed: (err) => log.warn({ err, ...names() }, 'a process of an agent could not be launched; it is tried again'),
    });
    slots.set(index, { slot, startedGeneration });
    void slot.done.then(() => {
      slots.delete(index);
      fill();
    });
  }

  async function attempt(index: number, isWanted: () => boolean, keep: (replica: Replica) => void): Promise<Attempt> {
    const leave = parts.room();
    // Nobody is asked for a permit that could not be used.
    if (leave === undefined) return { outcome: 'postponed' };
    try {
      return await life(index, isWanted, keep);
    } finally {
      leave();
    }
  }

  async function life(index: number, isWanted: () => boolean, keep: (replica: Replica) => void): Promise<Attempt> {
    const launchId = newId();
    const release = await parts.launching.take();
    let replica: Replica;
    const startedAt = parts.now();
    try {
      if (!isWanted()) return { outcome: 'over' };
      if (!parts.mayLaunch() || !(await parts.isAvailable())) return { outcome: 'postponed' };
      const launched = await launch(index, launchId, isWanted);
      if ('outcome' in launched) return launched;
      replica = launched;
      observe.launched('launched');
      keep(replica);
    } finally {
      release();
    }
    const exit = await replica.exited;
    const fields = { ...names(), launchId, replica: index, cause: exit.cause, exitCode: exit.exitCode };
    log.info({ ...fields, signal: exit.signal, problem: exit.problem }, 'a process of an agent ended');
    await written(() => outcomes.exited(claim, { launchId, replica: index, exit }));
    return { outcome: 'ended', ranMs: parts.now() - startedAt };
  }

  async function launch(index: number, launchId: string, isWanted: () => boolean): Promise<Replica | Attempt> {
    const question = { claim, launchId, replica: index, endsWithClaim: true, launches, prepare: parts.prepare };
    let permit: Awaited<ReturnType<typeof parts.askPermit<PreparedLaunch>>>;
    try {
      permit = await parts.askPermit(question);
    } catch (error) {
      return notPrepared(error);
    }
    if (permit.outcome === 'superseded') return { outcome: 'postponed' };
    if (permit.outcome === 'denied') {
      observe.launched('denied');
      const codes = permit.denies.map(({ code }) => code);
      log.info({ ...names(), action: 'agent.launch', code: codes[0], codes }, 'decision');
      halted = claim.startedGeneration;
      fill();
      return { outcome: 'over' };
    }
    launches += 1;
    lacking = undefined;
    const { plan, secrets } = permit.prepared;
    // What was permitted and is not wanted any more, or not by this supervisor, ends before it begins.
    if (!isWanted() || !parts.mayLaunch()) return unborn(index, launchId, 'stopped', 'over');
    const { workspaceId, agentId } = claim;
    try {
      return await parts.host.launch({
        workspaceId,
        agentId,
        launchId,
        command: [...(plan.command ?? []), ...plan.args],
        env: plan.env,
        secrets,
        limits: plan.limits,
        allowDomains: plan.allowDomains,
        onOutput: parts.sink(claim, launchId, String(index)),
      });
    } catch (error) {
      observe.launched('failed');
      await unborn(index, launchId, 'setup_failed', 'postponed');
      if (!isHopeless(error)) throw error;
      halt(error.code);
      return { outcome: 'over' };
    }
  }

  /** The permit was not even asked for: what the spec names is not to be had. Others' failures are no fault of the agent's. */
  async function notPrepared(error: unknown): Promise<Attempt> {
    if (!(error instanceof CodedError) || !(isHopeless(error) || isItsOwn(error.code))) throw error;
    observe.launched('failed');
    log.warn({ ...names(), code: error.code, reason: error.message }, 'an agent lacks what its spec names');
    const { code } = error;
    lacking = code;
    await written(() => outcomes.unlaunched(claim, code));
    if (isHopeless(error)) {
      halt(error.code);
      return { outcome: 'over' };
    }
    return { outcome: 'ended', ranMs: 0 };
  }

  async function unborn(
    index: number,
    launchId: string,
    cause: 'stopped' | 'setup_failed',
    outcome: 'over' | 'postponed',
  ): Promise<Attempt> {
    await written(() => outcomes.exited(claim, { launchId, replica: index, exit: neverRan(cause) }));
    return { outcome };
  }

  /** The agent has failed: its other processes end, too, and the row says so. */
  function halt(code: string): void {
    halted = claim.startedGeneration;
    failure = { code, claim };
    void writeFailure();
    fill();
  }

  /** Until it is written, the row says that the agent runs, and nobody else would take it up. */
  async function writeFailure(): Promise<void> {
    if (failure === undefined || isWriting) return;
    isWriting = true;
    try {
      await outcomes.failed(failure.claim, failure.code, launches);
      failure = undefined;
    } catch (err) {
      log.error({ err, ...names() }, 'the failure of an agent could not be written down; it is tried again');
    } finally {
      isWriting = false;
    }
  }

  async function written(write: () => Promise<void>): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await write();
      } catch (err) {
        if (tries === WRITES || closed) {
          return log.error({ err, ...names() }, 'the end of a process of an agent could not be written down');
        }
        await delay(WRITE_AGAIN_MS, undefined, { ref: false });
      }
    }
  }

  function names() {
    return { workspaceId: claim.workspaceId, agentId: claim.agentId };
  }

  fill();
  return {
    get claim() {
      return claim;
    },
    get ready() {
      return [...slots.values()].filter(({ slot }) => slot.isReady).length;
    },
    get isIdle() {
      return slots.size === 0;
    },
    update: (next) => {
      claim = next;
      fill();
    },
    tick: () => void writeFailure(),
    end: async (graceMs) => {
      closed = true;
      const open = [...slots.values()];
      for (const { slot } of open) slot.end(graceMs);
      await Promise.all(open.map(({ slot }) => slot.done));
    },
  };
}
