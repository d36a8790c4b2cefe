import { problemOf } from '../http/problem.ts';
import type { Caller } from './caller.ts';
import { AdmissionDenied } from './errors.ts';
import type { BatchOutcome } from './schema.ts';

/** Agents handled at the same time: enough to share transactions, not enough to fill the append queue. */
const CONCURRENCY = 32;

type BatchAction = 'start' | 'stop' | 'promote' | 'delete';

/** What one action did to one agent: members of the batch answer, or a thrown error, which is told as the agent's own problem. */
type Act = (workspaceId: string, agentId: string, caller: Caller) => Promise<Omit<BatchOutcome, 'agentId'>>;

export type BatchActions = Readonly<Record<BatchAction, Act>>;

/** Applies one action to each agent on its own and answers with one outcome per agent, in the order given. */
export type RunBatch = (
  workspaceId: string,
  request: { readonly action: BatchAction; readonly agentIds: readonly string[] },
  caller: Caller,
) => Promise<BatchOutcome[]>;

interface Tried {
  readonly outcome: BatchOutcome;
  /** The error when a dependency was away (503). */
  readonly away?: unknown;
}

export interface BatchLog {
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
}

export function createRunBatch(parts: { actions: BatchActions; log: BatchLog }): RunBatch {
  const { actions, log } = parts;
  return async (workspaceId, { action, agentIds }, caller) => {
    const tried: Tried[] = [];
    for (let at = 0; at < agentIds.length; at += CONCURRENCY) {
      const ids = agentIds.slice(at, at + CONCURRENCY);
      tried.push(...(await Promise.all(ids.map((agentId) => one(actions[action], workspaceId, agentId, caller)))));
    }
    // Nothing was answered for any agent: that is an outage, not an outcome.
    if (tried.length > 0 && tried.every(({ away }) => away !== undefined)) throw tried[0]?.away;
    return tried.map(({ outcome }) => outcome);
  };

  async function one(act: Act, workspaceId: string, agentId: string, caller: Caller): Promise<Tried> {
    try {
      return { outcome: { agentId, ...(await act(workspaceId, agentId, caller)) } };
    } catch (error) {
      const { status, code, detail } = problemOf(error, caller.traceId);
      if (code === 'INTERNAL') log.error({ err: error, workspaceId, agentId }, 'one agent of a batch failed');
      const outcome = { agentId, success: false, code, detail, ...evidence(error) };
      return status === 503 ? { outcome, away: error } : { outcome };
    }
  }
}

function evidence(error: unknown): Pick<BatchOutcome, 'decisionId' | 'denies' | 'auditEvent'> {
  if (!(error instanceof AdmissionDenied)) return {};
  return { decisionId: error.decisionId, denies: [...error.denies], auditEvent: error.auditEvent };
}
