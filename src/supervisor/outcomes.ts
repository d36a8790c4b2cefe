import type { AuditAppender } from '../audit/append.ts';
import { timestamp } from '../clock.ts';
import type { ReplicaExit } from '../runtime/isolation.ts';
import type { Claim } from './claim.ts';
import { Superseded } from './errors.ts';
import { CASTELLAN } from './permit.ts';
import { isCurrent, storeExit, storeFailure } from './store.ts';

export interface ExitFact {
  readonly launchId: string;
  readonly replica: number;
  readonly exit: Pick<ReplicaExit, 'cause' | 'exitCode' | 'signal'>;
}

/** What became of the processes of an agent. These are observed facts and restrictions: they wait for no signer. */
export interface Outcomes {
  /** The end of a process. */
  exited(claim: Pick<Claim, 'workspaceId' | 'agentId'>, fact: ExitFact): Promise<void>;
  /** There was nothing to launch, and no permit was asked for: only the agent's last exit says so. */
  unlaunched(claim: Pick<Claim, 'workspaceId' | 'agentId'>, code: string): Promise<void>;
  /** It is not tried again: the agent has failed. */
  failed(claim: Claim, code: string, launches: number): Promise<void>;
}

export function createOutcomes({ audit }: { audit: AuditAppender }): Outcomes {
  return {
    exited: async ({ workspaceId, agentId }, { launchId, replica, exit }) => {
      const { cause, exitCode, signal } = exit;
      await audit.commit({
        chain: workspaceId,
        brake: true,
        work: async ({ trx, now, append }) => {
          const shown = { at: timestamp(now), exitCode, signal, cause };
          const isThere = await storeExit(trx, { workspaceId, agentId }, shown, new Date(now));
          // Deleted meanwhile: agent.deleted is the last that is said of it.
          if (!isThere) return;
          append({
            type: 'agent.exited',
            actor: CASTELLAN,
            payload: { agentId, launchId, replica, cause, exitCode, signal },
          });
        },
      });
    },
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
