import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';

import type { Claim } from '../../src/supervisor/claim.ts';
import type { Keeper } from '../../src/supervisor/keeper.ts';
import type { Round, SupervisorStore } from '../../src/supervisor/store.ts';
import { createSupervisor } from '../../src/supervisor/supervisor.ts';

const CLAIM: Claim = {
  workspaceId: 'demo',
  agentId: 'a',
  token: 1,
  status: 'running',
  desiredReplicas: 1,
  readyReplicas: 0,
  generation: 1,
  startedGeneration: 1,
  startedBy: null,
  isUrgent: false,
};

/** A supervisor of nothing, whose store says what the test says. */
function scripted(leaseMs: number) {
  const done: string[] = [];
  const answers: (Round | undefined | Promise<Round | undefined>)[] = [];
  const store: SupervisorStore = {
    enter: async () => {
      done.push('enter');
    },
    round: async () => answers.shift(),
    report: async () => new Set(),
    release: async () => new Set(),
    leave: async () => {
      done.push('leave');
    },
  };
  const keeper: Keeper = {
    kind: 'local',
    ready: 0,
    found: () => [],
    reconcile: (claims) => {
      done.push(`reconcile ${claims.length}`);
    },
    tick: () => undefined,
    reports: () => [],
    reported: () => undefined,
    releases: () => [],
    abandon: async () => {
      done.push('abandon');
    },
    close: async (graceMs) => {
      done.push(`close ${graceMs > 0}`);
    },
  };
  const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const now = () => performance.now();
  return {
    done,
    answers,
    supervisor: createSupervisor({
      store,
      keeper,
      noteLosses: () => undefined,
      capacity: 10,
      isUsable: async () => true,
      now,
      log,
      leaseMs,
    }),
  };
}

const held = (leaseMs: number): Round => ({ leaseMs, known: 'k', claims: [CLAIM], lost: [] });

t.test('what runs is ended before a lease that nobody renews has ended', async (t) => {
  const { done, answers, supervisor } = scripted(1600);
  answers.push(held(1600));
  await supervisor.round();
  t.ok(supervisor.mayLaunch());
  t.equal(supervisor.supervised, 1);
  const from = performance.now();
  while (!done.includes('leave') && performance.now() - from < 1500) await delay(5);
  t.ok(performance.now() - from < 1500, 'while others still wait for its end');
  t.same(done, ['enter', 'reconcile 1', 'abandon', 'leave']);
  t.notOk(supervisor.mayLaunch());
  answers.push(held(5000));
  await supervisor.round();
  t.same(done.slice(4), ['enter', 'reconcile 1'], 'and it begins anew');
  await supervisor.close(1000);
});

t.test('an answer that comes after the end brings nothing back', async (t) => {
  const { done, answers, supervisor } = scripted(1600);
  answers.push(held(1560));
  await supervisor.round();
  const late = Promise.withResolvers<Round | undefined>();
  answers.push(late.promise);
  const round = supervisor.round();
  const from = performance.now();
  while (!done.includes('leave') && performance.now() - from < 1500) await delay(5);
  late.resolve(held(1600));
  await round;
  t.same(done, ['enter', 'reconcile 1', 'abandon', 'leave']);
  t.notOk(supervisor.mayLaunch());
  await supervisor.close(0);
});

t.test('a lease that is lost ends what runs at once', async (t) => {
  const { done, answers, supervisor } = scripted(5000);
  answers.push(held(5000), undefined);
  await supervisor.round();
  await supervisor.round();
  t.same(done, ['enter', 'reconcile 1', 'abandon', 'leave']);
  t.equal(supervisor.supervised, 0);
  await supervisor.close(0);
});

t.test('who closes ends what runs within its lease, and leaves', async (t) => {
  const { done, answers, supervisor } = scripted(5000);
  answers.push(held(5000));
  await supervisor.round();
  await supervisor.close(1000);
  t.same(done, ['enter', 'reconcile 1', 'close true', 'leave']);
  await supervisor.round();
  t.same(done.length, 4, 'no round begins any more');
});
