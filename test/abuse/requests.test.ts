import type { Arbitrary } from 'fast-check';
import t from 'tap';
import fc from '../support/fast-check.ts';

import { brakeOf, type Step } from './support/brakes.ts';
import type { Caller } from './support/client.ts';
import { OPERATIONS, type Operation } from './support/document.ts';
import { hintsOf } from './support/hints.ts';
import { judged } from './support/judge.ts';
import { ANYONE, badPlans, goodPlans, type Plan } from './support/plans.ts';
import { holds } from './support/runs.ts';
import { openStage } from './support/stage.ts';

/** Each starts a thread or a compiler: fewer runs of them cost as much as all of the others. */
const COSTLY = new Set(['verifySystemAudit', 'verifyAudit', 'hotReloadPolicy', 'rollBackPolicy']);
const ADMIN: Arbitrary<Caller> = fc.constant('kernel-admin');

const stage = await openStage(t);

t.test('every answer is as documented, and an error leaves nothing but its denial', async (t) => {
  for (const operation of OPERATIONS) {
    await t.test(operation.operationId, async (t) => {
      const subjects = await stage.subjects(operation);
      const hints = hintsOf(stage, subjects, operation);
      const factor = COSTLY.has(operation.operationId) ? 0.25 : 1;
      await t.test('asked as it is documented', (t) =>
        holds(t, requests(operation, goodPlans(operation, subjects, hints, ADMIN)), factor),
      );
      await t.test('asked with something wrong', (t) =>
        holds(t, requests(operation, badPlans(operation, subjects, hints, ADMIN)), 2 * factor),
      );
      const theirs = { ...subjects, workspaceId: ['demo', 'demo', 'other'] };
      const plans = fc.oneof(goodPlans(operation, theirs, hints, ANYONE), badPlans(operation, theirs, hints, ANYONE));
      await t.test('asked by anybody', (t) => holds(t, requests(operation, plans), 2 * factor));
    });
  }
});

t.test('the service is still there and every chain is whole', async (t) => {
  t.equal((await fetch(`${stage.world.service.opsUrl}/readyz`)).status, 200);
  for (const path of ['/v1/audit/verify', '/v1/workspaces/demo/audit/verify', '/v1/workspaces/other/audit/verify']) {
    const { body, text } = await stage.world.expect(200, 'auditor', 'POST', path);
    t.equal(body.ok, true, text);
  }
});

function requests(operation: Operation, plans: Arbitrary<Plan>) {
  return fc.asyncProperty(plans, async (plan) => {
    const { before, after } = brakeOf(operation, plan, stage.known.workspaceOf);
    await take(before);
    try {
      const answer = await stage.client.send(plan);
      const seen = await stage.look();
      const wrong = [...judged(operation, plan, answer, seen, stage.known), ...keptPlaces()];
      if (wrong.length > 0) throw new Error(`${wrong.join('; ')}: ${answer.status} ${answer.text.slice(0, 500)}`);
    } finally {
      // What it put in force would refuse the requests to come for a reason that is not theirs.
      await take(after);
    }
  });
}

async function take(step: Step | undefined): Promise<void> {
  if (step === undefined) return;
  const { method, path, body, mayBeGone = false } = step;
  await stage.act(method, path, body, 'kernel-admin', mayBeGone);
  await stage.look();
}

/** What the limits still count as under way although every request was answered. */
function keptPlaces(): string[] {
  const lanes = Object.entries(stage.world.service.app.limits.stats().lanes);
  return lanes
    .filter(([, { inFlight, waiting }]) => inFlight + waiting > 0)
    .map(([lane, { inFlight, waiting }]) => `${lane}: ${inFlight} under way, ${waiting} waiting`);
}
