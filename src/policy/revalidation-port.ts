import type { UnitScope } from '../audit/append.ts';
import type { Actor } from '../audit/event.ts';

export interface RevalidationState {
  /** Null: none was started. */
  readonly id: string | null;
  readonly state: 'running' | 'done';
  readonly total: number;
  readonly done: number;
  readonly invalidated: number;
}

/** What a change of policy asks of revalidation, which is a slice of its own above this one. */
export interface RevalidationPort {
  /** Records, in the unit that activates, that every governed agent is to be checked, and answers how it begins. */
  begin(
    scope: UnitScope,
    request: {
      workspaceId: string;
      policyHash: string;
      cause: 'hotreload' | 'rollback';
      actor: Actor;
      traceId?: string | undefined;
    },
  ): Promise<RevalidationState>;
  /** Works on it here, or watches whoever does, for at most `waitMs`, and answers how far it is. */
  follow(workspaceId: string, id: string, waitMs: number): Promise<RevalidationState>;
}
