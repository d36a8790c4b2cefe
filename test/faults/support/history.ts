import type { EventReceipt } from '../../../src/audit/event.ts';

export const OPERATIONS = [
  'createAgent',
  'startAgent',
  'stopAgent',
  'promoteAgent',
  'quarantineAgent',
  'releaseAgent',
  'hotReloadPolicy',
  'getAgentStatus',
  'getPolicySnapshot',
] as const;
export type Operation = (typeof OPERATIONS)[number];

/** What a client was told: an answer that arrived whole, or nothing, and then it knows nothing. */
export type Outcome =
  | {
      readonly kind: 'answered';
      readonly status: number;
      readonly code?: string | undefined;
      readonly success?: boolean | undefined;
      readonly alreadyRunning?: boolean | undefined;
      readonly agentId?: string | undefined;
      readonly decisionId?: string | undefined;
      readonly promotionId?: string | undefined;
      readonly receipt?: EventReceipt | undefined;
      readonly policyHash?: string | undefined;
      readonly previousPolicyHash?: string | undefined;
      readonly revision?: number | undefined;
      /** `Idempotent-Replayed: true`. */
      readonly replayed: boolean;
      readonly retryAfter: boolean;
      /** Marks of other workspaces and secrets found anywhere in the answer. */
      readonly leaks: readonly string[];
    }
  | { readonly kind: 'unknown'; readonly reason: string };

/** One attempt of a client. The trace id is the attempt's own, so every event it caused names it. */
export interface Call {
  readonly traceId: string;
  /** The name of the instance it went to. */
  readonly instance: string;
  readonly who: string;
  readonly workspaceId: string;
  readonly operation: Operation;
  /** The agent it was about; a creation has none. */
  readonly agentId?: string | undefined;
  readonly key?: string | undefined;
  /** Ms, monotonic. */
  readonly sentAt: number;
  readonly endedAt: number;
  readonly outcome: Outcome;
}

/** The log of what clients were told. */
export class History {
  readonly calls: Call[] = [];

  add(call: Call): void {
    this.calls.push(call);
  }

  /** Answers with a 2xx so far. */
  get acknowledged(): number {
    return this.calls.filter(({ outcome }) => isDone(outcome)).length;
  }
}

export function isDone(outcome: Outcome): boolean {
  return outcome.kind === 'answered' && outcome.status >= 200 && outcome.status < 300;
}
