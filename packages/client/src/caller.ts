import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type ReadAnswer, readAnswer } from './answer.ts';
import { type Failure, failureOf, finish } from './failure.ts';
import { type RequestEvent, tell } from './hooks.ts';
import type { CallDefaults, CallOptions } from './options.ts';
import { positive } from './options.ts';
import { type Plan, usableTraceparent } from './plan.ts';
import { createRetryPolicy, type RetryState } from './retry-policy.ts';
import type { Servers } from './servers.ts';
import { limitTime, type TimeLimit } from './time-limit.ts';
import type { Transport } from './transport.ts';

const DEADLINE_MS = 30_000;
const ATTEMPT_TIMEOUT_MS = 15_000;
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;
/** ms; operations to which the service gives more than its 10 s, and a little for the way. */
const LONG_ATTEMPTS: Readonly<Record<string, number>> = {
  hotReloadPolicy: 35_000,
  rollBackPolicy: 35_000,
  verifyAudit: 125_000,
  verifySystemAudit: 125_000,
};

export interface CallerParts {
  readonly transport: Transport;
  readonly servers: Servers;
  /** The value of `authorization`; throws CastellanError. */
  readonly authorization?: (signal: AbortSignal) => Promise<string | undefined>;
  readonly defaults: CallDefaults;
}

export type Caller = (plan: Plan, options: CallOptions) => Promise<ReadAnswer>;

/** Makes planned calls: one request after the other until an answer, a failure that lasts, or the deadline. */
export function createCaller({ transport, servers, authorization, defaults }: CallerParts): Caller {
  const { hooks = {} } = defaults;
  const policy = createRetryPolicy(defaults.retry ?? {}, servers);
  const maxAnswerBytes = positive('maxAnswerBytes', defaults.maxAnswerBytes, MAX_ANSWER_BYTES);

  return async (plan, options) => {
    const { deadlineMs, attemptTimeoutMs } = limitsOf(plan, defaults, options);
    const traceparent = usableTraceparent(defaults.traceparent);
    const deadline = limitTime(deadlineMs, options.signal);
    const state = policy.begin();
    const callId = randomUUID();
    let last: Failure | undefined;
    try {
      for (;;) {
        if (deadline.signal.aborted) throw failureOf(undefined, deadline, undefined, last).error;
        const server = servers.pick(state.notBefore);
        state.attempts += 1;
        const { method } = plan.facts;
        const { operation, path, idempotencyKey } = plan;
        const attempt = state.attempts;
        const event = { operation, method, path, server, attempt, idempotencyKey, traceparent };
        tell(hooks.onRequest, event);
        const outcome = await attemptCall(plan, event, `${callId}.${attempt}`, attemptTimeoutMs, deadline, last);
        if (!('error' in outcome)) return outcome;
        last = outcome;
        await waitToRepeat(plan, outcome, state, event, deadline);
      }
    } catch (error) {
      throw finish(error, plan, state, policy.maybeApplied(state));
    } finally {
      deadline.end();
    }
  };

  async function attemptCall(
    plan: Plan,
    event: RequestEvent,
    requestId: string,
    timeoutMs: number,
    deadline: TimeLimit,
    last: Failure | undefined,
  ): Promise<ReadAnswer | Failure> {
    const limit = limitTime(timeoutMs, deadline.signal);
    const startedAt = performance.now();
    const told = (status?: number, id?: string, replayed = false, error?: Failure['error']): void =>
      tell(hooks.onResponse, {
        ...event,
        durationMs: performance.now() - startedAt,
        status,
        requestId: id,
        replayed,
        error,
      });
    try {
      const bearer = await authorization?.(limit.signal);
      const headers = {
        ...plan.headers,
        'x-request-id': requestId,
        ...(event.traceparent === undefined ? {} : { traceparent: event.traceparent }),
        ...(bearer === undefined ? {} : { authorization: bearer }),
      };
      const request = { method: plan.facts.method, path: plan.target, headers, body: plan.body };
      const sending = { server: event.server, signal: limit.signal, maxAnswerBytes };
      const answer = readAnswer(plan.facts, await transport.send(request, sending));
      told(answer.status, answer.requestId, answer.replayed);
      return answer;
    } catch (thrown) {
      const failure = failureOf(thrown, deadline, limit, last);
      told(failure.error.status, failure.error.requestId, false, failure.error);
      return failure;
    } finally {
      limit.end();
    }
  }

  async function waitToRepeat(
    plan: Plan,
    failure: Failure,
    state: RetryState,
    event: RequestEvent,
    deadline: TimeLimit,
  ): Promise<void> {
    const step = policy.next(plan, failure, state, event.server, deadline.remainingMs());
    if (step === undefined) throw failure.error;
    tell(hooks.onRetry, { ...event, error: failure.error, ...step });
    if (step.delayMs === 0) return;
    // Aborted while waiting: the next turn of the loop says so.
    await delay(step.delayMs, undefined, { signal: deadline.signal }).catch(() => undefined);
  }
}

// What a caller sets always counts; only without it do long operations get more.
function limitsOf(plan: Plan, defaults: CallDefaults, options: CallOptions) {
  const long = LONG_ATTEMPTS[plan.operation];
  const given = options.deadlineMs ?? defaults.deadlineMs;
  const givenAttempt = options.attemptTimeoutMs ?? defaults.attemptTimeoutMs;
  return {
    deadlineMs: positive('deadlineMs', given, long === undefined ? DEADLINE_MS : 2 * long),
    attemptTimeoutMs: positive('attemptTimeoutMs', givenAttempt, long ?? ATTEMPT_TIMEOUT_MS),
  };
}
