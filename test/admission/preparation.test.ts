import t from 'tap';

import { createAdmissionService } from '../../src/admission/service.ts';
import { PolicyEvaluationError } from '../../src/policy/errors.ts';
import { ADMIN, type Governance, governance, governedAgent, OPERATOR, POLICIES, WORKSPACE } from './fixture.ts';

const LIMIT_MS = 200;

/** The admission of the world with a shorter time for its chain. */
function hasty(world: Governance) {
  const failures: string[] = [];
  const admission = createAdmissionService({
    storage: world.storage,
    policy: world.policyAnswers,
    keyOf: world.signers.keyOf,
    clock: Date.now,
    onFailure: (check) => void failures.push(check),
    timeoutMs: LIMIT_MS,
  });
  return { admission, failures };
}

const after = (ms: number) => new Promise<void>((resolve) => void setTimeout(resolve, ms));
const never = () => new Promise<never>(() => undefined);

t.test('what loading takes is not taken from the checks', async (t) => {
  const world = await governance(t);
  const { admission } = hasty(world);
  const subject = await world.subject(await world.sandboxAgent());
  const prepared: unknown[] = [];
  world.policy.prepare = async (workspaceId, policy) => {
    await after(2 * LIMIT_MS);
    prepared.push(workspaceId, policy);
  };
  t.match(await admission.evaluate(subject), { allowed: true, denies: [] });
  t.same(prepared, [WORKSPACE, { hash: POLICIES.first, activationSeq: subject.policy.activationSeq, candidate: null }]);
});

t.test('a policy that cannot be loaded decides and records nothing', async (t) => {
  const world = await governance(t);
  const sandbox = await world.sandboxAgent();
  const governed = await governedAgent(world);
  await world.brakes.quarantine(WORKSPACE, governed, 'odd', ADMIN);
  const recorded = () =>
    world.row(
      `SELECT (SELECT count(*) FROM decisions) AS decisions, (SELECT count(*) FROM audit_events) AS events,
         (SELECT count(*) FROM agents WHERE status = 'running') AS running`,
    );
  const before = await recorded();
  const asked = world.policy.asked.length;
  world.policy.prepare = () => Promise.reject(new PolicyEvaluationError('POLICY_UNAVAILABLE', 'not in time'));
  const unavailable = { code: 'POLICY_UNAVAILABLE' };
  await t.rejects(world.start(WORKSPACE, sandbox, {}, OPERATOR), unavailable);
  await t.rejects(world.promote(WORKSPACE, sandbox, {}, ADMIN), unavailable);
  await t.rejects(world.release(WORKSPACE, governed, 'please', ADMIN), unavailable);
  t.same(await recorded(), before);
  t.equal(world.policy.asked.length, asked, 'and asks nothing');
});

t.test('a policy pushed out while it is asked', async (t) => {
  const world = await governance(t);
  const { admission, failures } = hasty(world);
  const subject = await world.subject(await world.sandboxAgent());
  let asked = 0;
  let loads = 0;
  world.policy.prepare = async () => {
    loads += 1;
  };

  await t.test('is loaded and asked once more', async (t) => {
    world.policy.answers.set('*', () => {
      asked += 1;
      return asked === 1 ? never() : { deny: [] };
    });
    world.policy.isPrepared = () => asked > 1;
    t.match(await admission.evaluate(subject), { allowed: true });
    t.same([asked, loads], [2, 2]);
  });

  await t.test('and again is a busy replica, no denial', async (t) => {
    world.policy.answers.set('*', never);
    world.policy.isPrepared = () => false;
    await t.rejects(admission.evaluate(subject), { code: 'OVERLOADED' });
    t.equal(loads, 4);
  });

  await t.test('but one that is loaded and slow denies', async (t) => {
    world.policy.isPrepared = () => true;
    t.match(await admission.evaluate(subject), {
      allowed: false,
      denies: [{ code: 'INTERCEPTOR_ERROR', check: 'runtimePolicy', reason: 'the check took too long' }],
    });
    t.equal(failures.at(-1), 'runtimePolicy');
  });
});
