import { setTimeout as delay } from 'node:timers/promises';

import { RuntimeUnsupported } from '../runtime/errors.ts';
import type { Replica, ReplicaExit } from '../runtime/isolation.ts';
import type { Backoff } from './backoff.ts';

/** What came of one try to have a process. */
export type Attempt =
  | { readonly outcome: 'ended'; readonly ranMs: number }
  /** Nothing was to be had just now, for no fault of the agent's. */
  | { readonly outcome: 'postponed' }
  /** It shall not be tried again. */
  | { readonly outcome: 'over' };

export interface SlotParts {
  readonly backoff: Backoff;
  isWanted(): boolean;
  /** One launch and, when there was one, the process until its end. `keep` is told of the process. */
  attempt(keep: (replica: Replica) => void): Promise<Attempt>;
  /** It ended too often too soon. */
  gaveUp(): void;
  /** It waits before it is launched again. */
  restarting(): void;
  failed(error: unknown): void;
}

/** The place of one replica: keeps a process in it until it is not wanted any more. */
export interface Slot {
  readonly isReady: boolean;
  /** Nothing is launched any more, and the process ends within the grace; less of it may be given later. */
  end(graceMs: number): void;
  /** Resolves when nothing is left. */
  readonly done: Promise<void>;
}

export function createSlot({ backoff, isWanted, attempt, gaveUp, restarting, failed }: SlotParts): Slot {
  const wake = new AbortController();
  let replica: Replica | undefined;
  let grace: number | undefined;

  function end(graceMs: number): void {
    // A grace that runs is never begun anew.
    if (grace !== undefined && graceMs >= grace) return;
    grace = graceMs;
    wake.abort();
    void replica?.stop(grace);
  }

  function keep(launched: Replica): void {
    replica = launched;
    // It was asked to end while it was being launched.
    if (grace !== undefined) void launched.stop(grace);
  }

  async function once(): Promise<Attempt> {
    try {
      return await attempt(keep);
    } catch (error) {
      failed(error);
      return { outcome: 'postponed' };
    } finally {
      replica = undefined;
    }
  }

  async function run(): Promise<void> {
    for (;;) {
      const result = await once();
      if (result.outcome === 'over' || wake.signal.aborted || !isWanted()) return;
      const waitMs = result.outcome === 'ended' ? backoff.ended(result.ranMs) : backoff.postponed();
      if (waitMs === undefined) return gaveUp();
      await delay(waitMs, undefined, { signal: wake.signal, ref: false }).catch(() => undefined);
      if (wake.signal.aborted || !isWanted()) return;
      if (result.outcome === 'ended') restarting();
    }
  }

  const done = run();
  return {
    get isReady() {
      return replica !== undefined && grace === undefined;
    },
    end,
    done,
  };
}

/** What nothing but a change of the spec mends. */
export function isHopeless(error: unknown): error is RuntimeUnsupported {
  return error instanceof RuntimeUnsupported;
}

/** Of a launch that had a permit and became no process. */
export function neverRan(cause: ReplicaExit['cause']): Pick<ReplicaExit, 'cause' | 'exitCode' | 'signal'> {
  return { cause, exitCode: null, signal: null };
}

/** Codes for what only the agent, its spec or its workspace can be blamed for; they count as ends of a process. */
export function isItsOwn(code: string): boolean {
  return code === 'SECRET_UNAVAILABLE' || code === 'UNPROCESSABLE';
}
