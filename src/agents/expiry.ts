import type { Clock } from '../clock.ts';
import type { Storage } from '../storage/storage.ts';
import type { AgentBrakes } from './stop.ts';
import { findDue } from './store.ts';

/** Agents that one look-up finds. */
const ROUND = 500;
/** Agents stopped at the same time; those of one workspace share a transaction anyway. */
const CONCURRENCY = 32;

interface ExpiryLog {
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
}

/** How many agents a round stopped, and how many it could not; the next round finds those again. */
interface ExpiryRound {
  readonly expired: number;
  readonly failed: number;
}

/**
 * Stops running sandbox agents whose time is up, at most `limit` of them. Safe to run on every replica at once: each
 * stop is decided again under its chain's lock, so each agent has one agent.expired.
 */
export type ExpireDue = (limit: number) => Promise<ExpiryRound>;

export function createExpireDue(parts: {
  storage: Storage;
  brakes: Pick<AgentBrakes, 'expire'>;
  clock: Clock;
  log: ExpiryLog;
}): ExpireDue {
  const { storage, brakes, clock, log } = parts;
  return async (limit) => {
    const due = await storage.system((trx) => findDue(trx, new Date(clock()), limit));
    const outcomes: ('expired' | 'failed' | 'idle')[] = [];
    for (let at = 0; at < due.length; at += CONCURRENCY) {
      const batch = due.slice(at, at + CONCURRENCY);
      outcomes.push(...(await Promise.all(batch.map((agent) => expireOne(agent.workspace_id, agent.id)))));
    }
    return {
      expired: outcomes.filter((one) => one === 'expired').length,
      failed: outcomes.filter((one) => one === 'failed').length,
    };
  };

  // One agent that cannot be stopped must not keep the others running.
  async function expireOne(workspaceId: string, agentId: string): Promise<'expired' | 'failed' | 'idle'> {
    try {
      return (await brakes.expire(workspaceId, agentId)) ? 'expired' : 'idle';
    } catch (error) {
      log.error({ err: error, workspaceId, agentId }, 'an expired agent could not be stopped');
      return 'failed';
    }
  }
}

/** Rounds until nothing more is due, a round cannot be completed, or the signal fires. */
export async function expireAll(expireDue: ExpireDue, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const { expired } = await expireDue(ROUND);
    if (expired < ROUND) return;
  }
}
