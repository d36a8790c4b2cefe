import type { Claim } from '../audit/append.ts';
import { CodedError } from '../errors.ts';
import { problemOf } from '../http/problem.ts';
import { IdempotencyConflict } from '../idempotency/errors.ts';
import { claimAs, type KeptItems } from '../idempotency/keyed-request.ts';
import type { Caller } from './caller.ts';
import { AdmissionDenied } from './errors.ts';
import type { BatchOutcome } from './schema.ts';

/** Agents handled at the same time: enough to share transactions, not enough to fill the append queue. */
const CONCURRENCY = 32;

type BatchAction = 'start' | 'stop' | 'promote' | 'delete';

type Acted = Omit<BatchOutcome, 'agentId'>;

/**
 * What one action did to one agent: members of the batch answer, or a thrown error, which is told as the agent's own
 * problem. The claim takes either.
 */
type Act = (workspaceId: string, agentId: string, caller: Caller, claim?: Claim<Acted | CodedError>) => Promise<Acted>;

export type BatchActions = Readonly<Record<BatchAction, Act>>;

/**
 * Applies one action to each agent on its own and answers with one outcome per agent, in the order given. With `kept`
 * each outcome is kept with its change, and what is kept is not done again.
 */
export type RunBatch = (
  workspaceId: string,
  request: { readonly action: BatchAction; readonly agentIds: readonly string[] },
  caller: Caller,
  kept?: KeptItems<BatchOutcome>,
) => Promise<BatchOutcome[]>;

interface Tried {
  readonly outcome: BatchOutcome;
  /** The error when a dependency was away (503). */
  readonly away?: unknown;
  /** Another replica is at work on the same request. */
  readonly conflict?: IdempotencyConflict;
}

export interface BatchLog {
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
}

export function createRunBatch(parts: { actions: BatchActions; log: BatchLog }): RunBatch {
  const { actions, log } = parts;
  return async (workspaceId, { action, agentIds }, caller, kept) => {
    const tried: Tried[] = [];
    for (let at = 0; at < agentIds.length; at += CONCURRENCY) {
      const ids = agentIds.slice(at, at + CONCURRENCY);
      const round = await Promise.all(ids.map((agentId) => one(actions[action], workspaceId, agentId, caller, kept)));
      const conflict = round.find((each) => each.conflict !== undefined)?.conflict;
      if (conflict !== undefined) throw conflict;
      tried.push(...round);
    }
    // Nothing was answered for any agent: that is an outage, not an outcome.
    if (tried.length > 0 && tried.every(({ away }) => away !== undefined)) throw tried[0]?.away;
    return tried.map(({ outcome }) => outcome);
  };

  async function one(
    act: Act,
    workspaceId: string,
    agentId: string,
    caller: Caller,
    kept: KeptItems<BatchOutcome> | undefined,
  ): Promise<Tried> {
    const done = kept?.find(agentId);
    if (done !== undefined) return { outcome: done };
    const claim = claimAs(kept?.claim(agentId), (value: Acted | CodedError) => outcomeOf(agentId, value, caller));
    try {
      return { outcome: { agentId, ...(await act(workspaceId, agentId, caller, claim)) } };
    } catch (error) {
      const outcome = failureOf(agentId, error, caller);
      if (error instanceof IdempotencyConflict) return { outcome, conflict: error };
      if (outcome.code === 'INTERNAL') log.error({ err: error, workspaceId, agentId }, 'one agent of a batch failed');
      return problemOf(error, caller.traceId).status === 503 ? { outcome, away: error } : { outcome };
    }
  }
}

function outcomeOf(agentId: string, value: Acted | CodedError, caller: Caller): BatchOutcome {
  return value instanceof CodedError ? failureOf(agentId, value, caller) : { agentId, ...value };
}

function failureOf(agentId: string, error: unknown, caller: Caller): BatchOutcome {
  const { code, detail } = problemOf(error, caller.traceId);
  return { agentId, success: false, code, detail, ...evidence(error) };
}

function evidence(error: unknown): Pick<BatchOutcome, 'decisionId' | 'denies' | 'auditEvent'> {
  if (!(error instanceof AdmissionDenied)) return {};
  return { decisionId: error.decisionId, denies: [...error.denies], auditEvent: error.auditEvent };
}
