import type { AuditAppender } from '../../src/audit/append.ts';
import { AuditError } from '../../src/audit/errors.ts';
import type { TestService } from '../support/service.ts';

/**
 * From now on the service is as good as dead after its next commit: that one is kept, but nobody hears of it, and nothing
 * more is committed. The returned function brings it back.
 */
export function dieAfterNextCommit({ service }: TestService): () => void {
  const { audit } = service.app;
  const commit = audit.commit;
  const dead = new AuditError('AUDIT_UNAVAILABLE', 'ended by the test');
  let alive = true;
  const dying: AuditAppender['commit'] = async (unit) => {
    if (!alive) throw dead;
    alive = false;
    await commit(unit);
    throw dead;
  };
  audit.commit = dying;
  return () => {
    audit.commit = commit;
  };
}

/** Holds every commit of the service until the returned function is called. */
export function holdCommits({ service }: TestService): { readonly reached: Promise<void>; release(): void } {
  const { audit } = service.app;
  const commit = audit.commit;
  const reached = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  const holding: AuditAppender['commit'] = async (unit) => {
    reached.resolve();
    await held.promise;
    return commit(unit);
  };
  audit.commit = holding;
  return {
    reached: reached.promise,
    release: () => {
      audit.commit = commit;
      held.resolve();
    },
  };
}
