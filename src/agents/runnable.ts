import type { AdmissionSubject } from '../admission/subject.ts';
import type { ResourceCeilings } from '../config/runtime.ts';
import { IsolationUnavailable } from '../runtime/errors.ts';
import type { Isolation } from '../runtime/isolation.ts';
import type { Storage } from '../storage/storage.ts';
import type { WorkspaceSettingsService } from '../workspace-settings/service.ts';
import { type RuntimePlan, runtimePlan } from './runtime-plan.ts';
import { isSpec } from './spec.ts';

type Subject = Pick<AdmissionSubject, 'workspaceId' | 'mode' | 'spec'>;

/** Whether agents can be run here, and what each of them is to be. */
export interface Runnable {
  /**
   * Before a start changes anything: throws IsolationUnavailable, RuntimeUnsupported or BeyondCeiling. A spec that is none
   * is left to admission, which says so with an event.
   */
  require(subject: Subject): Promise<void>;
  /** Throws RuntimeUnsupported, BeyondCeiling, or AgentError for a spec that is none. */
  plan(subject: Subject): Promise<RuntimePlan>;
}

/** Undefined: nothing is run here. */
export function createRunnable(parts: {
  isolation: Isolation | undefined;
  ceilings: ResourceCeilings;
  storage: Pick<Storage, 'read'>;
  settings: Pick<WorkspaceSettingsService, 'read'>;
}): Runnable | undefined {
  const { isolation, ceilings, storage, settings } = parts;
  if (isolation === undefined) return undefined;
  const { kind } = isolation.agents;

  async function plan(subject: Subject): Promise<RuntimePlan> {
    const { sandbox } = await storage.read(subject.workspaceId, (trx) => settings.read(trx, subject.workspaceId));
    return runtimePlan(subject, { kind, ceilings, workspace: sandbox });
  }

  return {
    plan,
    require: async (subject) => {
      const state = await isolation.state();
      if (!state.available) throw new IsolationUnavailable(state.problem);
      if (isSpec(subject.spec?.json)) await plan(subject);
    },
  };
}
