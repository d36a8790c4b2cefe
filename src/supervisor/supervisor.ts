import { newId } from '../ids.ts';
import { type Claim, keyOf, wantedReplicas } from './claim.ts';
import type { Keeper } from './keeper.ts';
import type { NoteLosses } from './losses.ts';
import type { SupervisorStore } from './store.ts';

/**
 * ms that a supervisor's claims hold without a word of it. Another takes them over a round after that, which is within the
 * 6 s that an agent may be without anybody when its machine is lost.
 */
export const LEASE_MS = 5000;
/** ms before the end of the lease at which processes are ended, so that none is left when another supervisor claims. */
const ENDING_MS = 1500;

export interface LaunchObserver {
  launched(outcome: 'launched' | 'denied' | 'failed'): void;
  restarted(): void;
}

export interface SupervisorLog {
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
}

/** One replica's part in running agents: claims some of them under a lease and keeps what they want. */
export interface Supervisor {
  /** Reads what is wanted, and brings it about beside. Never beside itself. */
  round(): Promise<void>;
  /** Agents that are claimed here. */
  readonly supervised: number;
  /** False from shortly before the lease ends. */
  mayLaunch(): boolean;
  /** Ends what runs here, with some grace, and lets others claim at once. */
  close(graceMs: number): Promise<void>;
}

export function createSupervisor(parts: {
  store: SupervisorStore;
  keeper: Keeper;
  noteLosses: NoteLosses;
  /** Replicas that there may be here at once. */
  capacity: number;
  /** False: nothing could be launched here, and what wants processes is left to others. */
  isUsable: () => Promise<boolean>;
  /** Monotonic ms. */
  now: () => number;
  log: SupervisorLog;
  leaseMs?: number;
}): Supervisor {
  const { store, keeper, noteLosses, capacity, isUsable, now, log, leaseMs = LEASE_MS } = parts;
  let id: string | undefined;
  let known = '';
  let claims: readonly Claim[] = [];
  /** Monotonic ms up to which processes may be here. */
  let until = 0;
  let fence: NodeJS.Timeout | undefined;
  /** What runs is being ended, because the lease is lost. */
  let ending: Promise<void> | undefined;
  let isClosed = false;

  async function round(): Promise<void> {
    if (isClosed) return;
    await ending;
    id ??= await enter();
    const by = id;
    const usable = await isUsable();
    const sentAt = now();
    // Without room only what has to end is claimed.
    const found = await store.round(by, { leaseMs, known, room: usable ? room() : 0, found: keeper.found() });
    // Too late: what ran here was ended meanwhile.
    if (isClosed || id !== by) return;
    if (found === undefined) {
      log.warn({ supervisorId: id }, 'the lease of this supervisor has ended; what it ran is ended, too');
      return lose();
    }
    holdUntil(sentAt + found.leaseMs - ENDING_MS);
    known = found.known;
    if (found.claims !== undefined) {
      claims = found.claims;
      keeper.reconcile(claims);
    }
    keeper.tick();
    noteLosses(found.lost);
    await report(by);
    if (!usable && keeper.ready === 0 && claims.some((claim) => wantedReplicas(claim) > 0)) {
      log.warn(
        { supervisorId: by },
        'nothing can be isolated here: what this supervisor had claimed is left to others',
      );
      await lose();
    }
  }

  async function enter(): Promise<string> {
    const made = newId();
    await store.enter(made, leaseMs);
    return made;
  }

  function room(): number {
    return Math.max(0, capacity - claims.reduce((sum, { desiredReplicas }) => sum + desiredReplicas, 0));
  }

  async function report(by: string): Promise<void> {
    const reports = keeper.reports();
    if (reports.length > 0) {
      const seen = await store.report(by, reports);
      for (const one of reports) if (seen.has(keyOf(one))) keeper.reported(one);
    }
    const releases = keeper.releases();
    if (releases.length === 0) return;
    const gone = await store.release(by, releases);
    claims = claims.filter((claim) => !gone.has(keyOf(claim)));
  }

  function holdUntil(deadline: number): void {
    until = deadline;
    clearTimeout(fence);
    fence = setTimeout(() => void expire(), Math.max(0, deadline - now()));
    fence.unref();
  }

  async function expire(): Promise<void> {
    log.warn({ supervisorId: id }, 'the database has not renewed the lease in time; what this supervisor ran is ended');
    await lose();
  }

  /** By the time another supervisor can claim, nothing of it is left here. */
  async function lose(): Promise<void> {
    clearTimeout(fence);
    const lost = id;
    id = undefined;
    known = '';
    claims = [];
    until = 0;
    ending = keeper.abandon();
    await ending;
    ending = undefined;
    // Others need not wait for the end of a lease that nobody renews.
    if (lost !== undefined) await leave(lost);
  }

  async function leave(supervisorId: string): Promise<void> {
    try {
      await store.leave(supervisorId, keeper.kind === 'local');
    } catch (err) {
      log.warn({ err, supervisorId }, 'the claims of this supervisor hold until its lease ends');
    }
  }

  return {
    round,
    get supervised() {
      return claims.length;
    },
    mayLaunch: () => now() < until,
    close: async (graceMs) => {
      isClosed = true;
      // The lease is not renewed any more: the grace ends with it.
      const left = Math.max(0, until - now());
      clearTimeout(fence);
      await keeper.close(keeper.kind === 'local' ? Math.min(graceMs, left) : graceMs);
      const leaving = id;
      id = undefined;
      claims = [];
      if (leaving !== undefined) await leave(leaving);
    },
  };
}
