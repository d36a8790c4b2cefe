import type { AdmissionService } from '../admission/service.ts';
import type { AdmissionSubject } from '../admission/subject.ts';
import type { Runnable } from '../agents/runnable.ts';
import type { RuntimePlan } from '../agents/runtime-plan.ts';
import type { Claim } from './claim.ts';
import { CASTELLAN } from './losses.ts';
import type { SecretSource } from './secrets.ts';

/** What a process gets that its spec names. */
export interface PreparedLaunch {
  readonly plan: RuntimePlan;
  readonly secrets: ReadonlyMap<string, Buffer>;
}

/** What a launch needs, from the rows admission reads. Throws what the plan and the secrets throw. */
export type Preparation = (subject: AdmissionSubject) => Promise<PreparedLaunch>;

export function createPreparation(runnable: Pick<Runnable, 'plan'>, secrets: SecretSource): Preparation {
  return async (subject) => {
    const plan = await runnable.plan(subject);
    return { plan, secrets: await secrets.resolve(subject.workspaceId, plan.secrets) };
  };
}

/** The same for a claimed agent, without asking whether it may be launched. */
export function createClaimPreparation(
  admission: Pick<AdmissionService, 'load'>,
  prepare: Preparation,
): (claim: Claim) => Promise<PreparedLaunch | undefined> {
  return async ({ workspaceId, agentId, startedBy }) => {
    const subject = await admission.load(workspaceId, agentId, startedBy ?? { ...CASTELLAN, roles: [] });
    return subject === undefined ? undefined : prepare(subject);
  };
}
