import { timingSafeEqual } from 'node:crypto';

import type { AdmissionService } from '../admission/service.ts';
import { isSpec } from '../agents/spec.ts';
import { sha256 } from '../crypto/digest.ts';
import { NotFound } from '../http/problem.ts';
import type { AgentKey } from './store.ts';

/**
 * Whether a text is the stop token of the agent, found out in a time that tells nothing of the token; an agent without one
 * has none that fits. Throws NotFound.
 */
export type IsStopToken = (agent: AgentKey, presented: string) => Promise<boolean>;

export function createIsStopToken(admission: Pick<AdmissionService, 'load'>): IsStopToken {
  return async ({ workspaceId, agentId }, presented) => {
    const subject = await admission.load(workspaceId, agentId, { id: 'castellan', kind: 'system', roles: [] });
    if (subject === undefined) throw new NotFound();
    const spec: unknown = subject.spec?.json;
    const token = isSpec(spec) ? spec.human?.stopToken : undefined;
    const equal = timingSafeEqual(sha256(Buffer.from(presented)), sha256(Buffer.from(token ?? '')));
    return token !== undefined && equal;
  };
}
