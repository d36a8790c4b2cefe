import type { AuditAppender, UnitScope } from '../audit/append.ts';
import { timestamp } from '../clock.ts';
import type { ReplicaExit } from '../runtime/isolation.ts';
import type { Claim } from './claim.ts';
import { Superseded } from './errors.ts';
import { CASTELLAN, recordLosses } from './losses.ts';
import { type AgentKey, deleteLaunch, isCurrent, storeExit, storeFailure } from './store.ts';

export interface ExitFact {
  readonly launchId: string;
  readonly replica: number;
  readonly exit: Pick<ReplicaExit, 'cause' | 'exitCode' | 'signal'>;
}

/** What became of the processes of an agent. These are observed facts and restrictions: they wait for no signer. */
export interface Outcomes {
  /** The end of a process that ends with its claim; nothing when it was written down as lost meanwhile. */
  exited(claim: AgentKey, fact: ExitFact): Promise<void>;
  /** The end of a process as a cluster says it was. */
  observed(claim: AgentKey, fact: ExitFact): Promise<void>;
  /** Launches of the agent whose supervisor is lost, if there are any. */
  lost(agent: AgentKey): Promise<void>;
  /** There was nothing to launch, and no permit was asked for: only the agent's last exit says so. */
  unlaunched(claim: AgentKey, code: string): Promise<void>;
  /** It is not tried again: the agent has failed. */
  failed(claim: Claim, code: string, launches: number): Promise<void>;
}

export function createOutcomes({ audit }: { audit: AuditAppender }): Outcomes {
  async function ended({ trx, now, append }: UnitScope, agent: AgentKey, fact: ExitFact): Promise<void> {
    const { launchId, replica, exit } = fact;
    const { cause, exitCode, signal } = exit;
    const isThere = await storeExit(trx, agent, { at: timestamp(now), exitCode, signal, cause }, new Date(now));
    // Deleted meanwhile: agent.deleted is the last that is said of it.
    if (!isThere) return;
    append({
      type: 'agent.exited',
      actor: CASTELLAN,
      payload: { agentId: agent.agentId, launchId, replica, cause, exitCode, signal },
    });
  }

  function inUnit({ workspaceId }: AgentKey, work: (scope: UnitScope) => Promise<void>): Promise<void> {
    return audit.commit({ chain: workspaceId, brake: true, work });
  }

  return {
    exited: (claim, fact) =>
      inUnit(claim, async (scope) => {
        if (await deleteLaunch(scope.trx, claim, fact.launchId)) await ended(scope, claim, fact);
      }),
    observed: (claim, fact) => inUnit(claim, (scope) => ended(scope, claim, fact)),
    lost: (agent) => inUnit(agent, (scope) => recordLosses(scope, agent)),
    unlaunched: async (claim, code) => {
      await audit.commit({
        chain: claim.workspaceId,
        brake: true,
        work: async ({ trx, now }) => {
          const shown = { at: timestamp(now), exitCode: null, signal: null, cause: 'setup_failed', code };
          await storeExit(trx, claim, shown, new Date(now));
        },
      });
    },
    failed: async (claim, code, launches) => {
      const { workspaceId, agentId } = claim;
      try {
        await audit.commit({
          chain: workspaceId,
          brake: true,
          work: async ({ trx, now, append }) => {
            if (!(await isCurrent(trx, claim))) throw new Superseded();
            await storeFailure(trx, claim, new Date(now));
            append({ type: 'agent.failed', actor: CASTELLAN, payload: { agentId, code, launches } });
          },
        });
      } catch (error) {
        // Stopped or claimed by another meanwhile: it did not fail here any more.
        if (!(error instanceof Superseded)) throw error;
      }
    },
  };
}
