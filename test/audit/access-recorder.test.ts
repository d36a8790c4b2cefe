import t from 'tap';

import { createAccessRecorder, type DeniedCaller } from '../../src/audit/access-recorder.ts';
import type { AuditAppender } from '../../src/audit/append.ts';
import { AccessDenied, Unauthenticated } from '../../src/identity/errors.ts';

const MINUTE = 60_000;

/** A recorder over a log that only remembers the payloads and actors it is given. */
function recorder() {
  const written: { actor: string; payload: Record<string, unknown> }[] = [];
  const commit = async (unit: { work(scope: object): Promise<unknown> }) =>
    unit.work({
      append: ({ actor, payload }: { actor: { id: string }; payload: Record<string, unknown> }) => {
        written.push({ actor: actor.id, payload });
      },
    });
  let now = 1_000_000;
  const audit: AuditAppender = Object.assign(Object.create(null), { commit });
  const { record, flush } = createAccessRecorder({ audit, clock: () => now });
  const where = { method: 'GET', route: '/x', traceId: '0'.repeat(32) };
  const later = async () => {
    now += MINUTE + 1;
    const before = written.length;
    await flush();
    return written.slice(before).map(({ payload }) => payload);
  };
  const refuse = async (times: number, error: Unauthenticated | AccessDenied, caller: DeniedCaller) => {
    for (let nth = 0; nth < times; nth += 1) {
      now += 100;
      await record({ ...where, error, caller });
    }
  };
  return { written, refuse, later };
}

const NOBODY: DeniedCaller = { id: 'unknown', kind: 'unknown' };

t.test('a count is of one reason: a flood of one kind hides no other', async (t) => {
  const { refuse, later } = recorder();
  await refuse(12, new Unauthenticated('NOT_IN_IDENTITY_MAP'), NOBODY);
  await refuse(13, new Unauthenticated('CERTIFICATE_REVOKED'), NOBODY);
  await refuse(3, new Unauthenticated('FORWARDED_MALFORMED'), NOBODY);
  t.same(
    (await later()).map(({ reason, count }) => [reason, count]),
    [
      ['NOT_IN_IDENTITY_MAP', 2],
      ['CERTIFICATE_REVOKED', 3],
    ],
  );
});

t.test('a count names a workspace only when all of them asked for it', async (t) => {
  const { refuse, later, written } = recorder();
  const caller: DeniedCaller = { id: 'operator', kind: 'human' };
  const asked = (workspaceId: string) =>
    AccessDenied.foreign({
      reason: 'FOREIGN_WORKSPACE',
      principalId: 'operator',
      method: 'GET',
      route: '/x',
      workspaceId,
    });
  await refuse(12, asked('a'), caller);
  const [one] = await later();
  t.equal(one?.['workspaceDigest'], written[0]?.payload['workspaceDigest']);
  t.equal(one?.['count'], 2);
  await refuse(11, asked('a'), caller);
  await refuse(2, asked('b'), caller);
  const [mixed] = await later();
  t.equal(mixed?.['count'], 3);
  t.notOk('workspaceDigest' in (mixed ?? {}));
});
