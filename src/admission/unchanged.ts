import type { UnitScope } from '../audit/append.ts';
import { StaleRead } from '../audit/errors.ts';
import { NotFound } from '../http/problem.ts';
import type { AdmissionService } from './service.ts';
import type { AdmissionSubject } from './subject.ts';

/** Phase two, under the lock: the rows a decision rests on are the ones it was made on. Throws StaleRead, NotFound. */
export async function requireUnchanged(
  admission: Pick<AdmissionService, 'reread'>,
  scope: UnitScope,
  subject: AdmissionSubject,
): Promise<void> {
  const now = await admission.reread(scope.trx, subject.workspaceId, subject.agentId);
  if (now === undefined) throw new NotFound();
  if (now.fingerprint !== subject.fingerprint || now.policyHash !== subject.policy.hash) {
    throw new StaleRead('the agent or its policy');
  }
}

/** An agent that may go on still has time left. Throws StaleRead: the next round sees it expired. */
export function requireTimeLeft({ now }: UnitScope, { expiresAt }: AdmissionSubject): void {
  if (expiresAt !== null && expiresAt.getTime() <= now) throw new StaleRead('the time left to the agent');
}
