import type { UnitScope } from '../audit/append.ts';
import { timestamp } from '../clock.ts';
import type { AgentKey } from './store.ts';
import { deleteLostLaunches, storeLoss } from './store.ts';
import type { SupervisorLog } from './supervisor.ts';

/** Whose launches and ends they are: nobody asks for a restart. */
export const CASTELLAN = { id: 'castellan', kind: 'system' } as const;

/** How a process ended whose supervisor was lost with it, or could not write down what it saw. */
const LOST = { cause: 'lost', exitCode: null, signal: null } as const;

/**
 * In a unit of the workspace: each launch of the agent under a claim that holds no more is written down as lost, and is not
 * known any more: whoever comes later, such as its own supervisor, finds nothing to write. An agent that wants processes
 * is starting again.
 */
export async function recordLosses({ trx, now, append }: UnitScope, agent: AgentKey): Promise<void> {
  const lost = await deleteLostLaunches(trx, agent);
  if (lost.length === 0) return;
  const isThere = await storeLoss(trx, agent, { at: timestamp(now), ...LOST }, new Date(now));
  if (!isThere) return;
  const { agentId } = agent;
  for (const { launchId, replica } of lost) {
    append({ type: 'agent.exited', actor: CASTELLAN, payload: { agentId, launchId, replica, ...LOST } });
  }
}

/** Begins to write down what was lost of agents that nobody has claimed; what fails is found again by a later round. */
export type NoteLosses = (agents: readonly AgentKey[]) => void;

export function createNoteLosses(parts: {
  record: (agent: AgentKey) => Promise<void>;
  log: Pick<SupervisorLog, 'warn'>;
}): NoteLosses {
  let isBusy = false;

  async function work(agents: readonly AgentKey[]): Promise<void> {
    for (const agent of agents) {
      try {
        await parts.record(agent);
      } catch (err) {
        parts.log.warn({ err, ...agent }, 'lost processes of an agent could not be written down; it is tried again');
      }
    }
  }

  return (agents) => {
    if (isBusy || agents.length === 0) return;
    isBusy = true;
    void work(agents).finally(() => {
      isBusy = false;
    });
  };
}
