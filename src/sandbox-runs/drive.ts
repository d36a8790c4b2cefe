import { setTimeout as delay } from 'node:timers/promises';

import type { Denial } from '../admission/check.ts';
import type { AdmissionService } from '../admission/service.ts';
import type { AdmissionSubject } from '../admission/subject.ts';
import { retryStale } from '../audit/retry.ts';
import { NotFound } from '../http/problem.ts';
import type { ActiveRun } from './active.ts';
import type { Execute } from './execute.ts';
import { notRun } from './results.ts';
import type { RunEnd, RunUnits } from './units.ts';
import { type FinalStatus, statusOf } from './verdict.ts';

/** Ms between two attempts to keep what happened, when the database is away. */
const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 5000;

/** Who asks what a run may still do, when its turn has come. */
const CASTELLAN = { id: 'castellan', kind: 'system', roles: [] } as const;

const CAUSES: Readonly<Record<string, string>> = {
  KILL_SWITCH: 'kill_switch',
  AGENT_QUARANTINED: 'quarantine',
  WORKSPACE_SUSPENDED: 'suspension',
  SANDBOX_EXPIRED: 'expiry',
};

/** Takes a run from its row to its end. Never rejects: what cannot be kept now is tried again. */
export type Drive = (run: ActiveRun, isQueued: boolean) => Promise<void>;

export function createDrive(parts: {
  readonly units: Pick<RunUnits, 'start' | 'end'>;
  readonly admission: Pick<AdmissionService, 'load' | 'beforeSandboxRun'>;
  readonly execute: Execute;
  readonly observe: { ended(status: FinalStatus, seconds: number): void };
  readonly failed: (error: unknown, runId: string) => void;
  /** Fires when nothing is tried again any more. */
  readonly givenUp: AbortSignal;
}): Drive {
  const { units, admission, execute, observe, failed, givenUp } = parts;

  return async (run, isQueued) => {
    const began = performance.now();
    const end = await atItsTurn(run, isQueued);
    const status = end.status ?? statusOf(end.commands.map(({ result }) => result));
    await kept(run, () => units.end(run.key, end));
    observe.ended(status, (performance.now() - began) / 1000);
    const { runId } = run.key;
    run.ended(JSON.stringify({ run_id: runId, status, ...(end.cause === undefined ? {} : { cause: end.cause }) }));
  };

  async function atItsTurn(run: ActiveRun, isQueued: boolean): Promise<RunEnd> {
    const place = await run.place;
    try {
      if (place === undefined) return nothingRun(run);
      if (isQueued) await kept(run, () => begin(run));
      if (run.signal.aborted) return nothingRun(run);
      const { cause, ...executed } = await execute(run.key, run.plan, run.signal, run.output);
      const wasCancelled = executed.commands.some(({ result }) => result === 'cancelled');
      return { ...executed, cause: cause ?? (wasCancelled ? run.cause : undefined) };
    } finally {
      place?.release();
    }
  }

  /** Asks again whether it may run; cancels it when it may not. */
  async function begin(run: ActiveRun): Promise<void> {
    if (run.signal.aborted) return;
    const { workspaceId, agentId } = run.key;
    await retryStale(async () => {
      const subject = await admission.load(workspaceId, agentId, CASTELLAN);
      if (subject === undefined) return run.cancel('agent_deleted');
      const denies = await admission.beforeSandboxRun(subject);
      if (denies.length > 0) return run.cancel(causeOf(denies));
      // It waits no more: somebody has ended it.
      if (!(await started(subject, run))) run.cancel('caller');
    });
  }

  async function started(subject: AdmissionSubject, run: ActiveRun): Promise<boolean> {
    try {
      return await units.start(subject, run.key);
    } catch (error) {
      if (error instanceof NotFound) return false;
      throw error;
    }
  }

  async function kept(run: ActiveRun, work: () => Promise<void>): Promise<void> {
    for (let wait = FIRST_WAIT_MS; ; wait = Math.min(2 * wait, LONGEST_WAIT_MS)) {
      try {
        await work();
        return;
      } catch (error) {
        failed(error, run.key.runId);
        // Who comes after finds the run without its process, and keeps that.
        if (givenUp.aborted) return;
      }
      await delay(wait, undefined, { signal: givenUp, ref: false }).catch(() => undefined);
    }
  }
}

function nothingRun(run: ActiveRun): RunEnd {
  const commands = run.plan.commands.map((command) => notRun(command, 'cancelled'));
  return { commands, connections: [], cause: run.cause };
}

function causeOf(denies: readonly Denial[]): string {
  const known = denies.map(({ code }) => CAUSES[code]).find((cause) => cause !== undefined);
  return known ?? 'admission';
}
