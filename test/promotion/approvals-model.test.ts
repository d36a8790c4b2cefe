import fc from 'fast-check';
import t from 'tap';

import type { Caller } from '../../src/agents/caller.ts';
import { lapseDue } from '../../src/promotion/lapse.ts';
import { denial, type Governance, governance, OPERATOR, POLICIES, WORKSPACE } from '../admission/fixture.ts';

const DAY = 86_400_000;
const RUNS = 10;
const PEOPLE = ['olga', 'bea', 'carl', 'dora'] as const;

type Step =
  | { readonly do: 'request' | 'approve' | 'reject'; readonly who: (typeof PEOPLE)[number] }
  | { readonly do: 'patch' | 'policy' | 'deny' | 'allow' | 'job' | 'delete' }
  | { readonly do: 'wait'; readonly days: number }
  | { readonly do: 'require'; readonly approvals: number };

interface Promotion {
  readonly by: string;
  readonly spec: number;
  readonly policy: string;
  readonly until: number;
  readonly approvers: string[];
  required: number;
  end: string;
}

/** What should happen, told from the documentation alone; it shares nothing with the code. */
class Model {
  day = 0;
  spec = 1;
  policy = 'first';
  denies = false;
  required = 1;
  governed = false;
  deleted = false;
  promotion: Promotion | undefined;

  request(by: string): string {
    if (this.deleted) return 'NOT_FOUND';
    if (this.governed) return 'ALREADY_GOVERNED';
    if (this.promotion?.end === 'pending') {
      const cause = this.cause(this.promotion);
      if (cause === '') return 'PROMOTION_PENDING';
      this.promotion.end = cause;
    }
    const { spec, policy, required, day } = this;
    const end = this.denies ? 'denied' : required > 0 ? 'pending' : 'approved';
    const waits = end === 'pending' ? required : 0;
    this.promotion = { by, spec, policy, until: day + 7, approvers: [], required: waits, end };
    this.governed = end === 'approved';
    return end;
  }

  decide(who: string, approves: boolean): string {
    const one = this.promotion;
    if (one === undefined) return 'none';
    if (one.by === who) return 'PERMISSION_DENIED';
    if (one.end === 'pending' && this.cause(one) !== '') one.end = this.cause(one);
    if (one.end === 'EXPIRED') return 'APPROVAL_EXPIRED';
    if (/CHANGED|DELETED/.test(one.end)) return 'APPROVAL_STALE';
    if (one.end !== 'pending') return 'PROMOTION_DECIDED';
    if (!approves) {
      one.end = 'rejected';
      return one.end;
    }
    if (one.approvers.includes(who)) return 'APPROVAL_GIVEN';
    one.approvers.push(who);
    one.required = Math.max(one.required, this.required);
    if (one.approvers.length >= one.required) one.end = this.denies ? 'denied' : 'approved';
    this.governed = one.end === 'approved';
    return one.end;
  }

  job(): void {
    if (this.promotion?.end === 'pending' && this.day >= this.promotion.until) this.promotion.end = 'EXPIRED';
  }

  private cause(one: Promotion): string {
    if (this.day >= one.until) return 'EXPIRED';
    if (this.deleted) return 'AGENT_DELETED';
    if (one.spec !== this.spec) return 'SPEC_CHANGED';
    return one.policy === this.policy ? '' : 'POLICY_CHANGED';
  }
}

const who = fc.constantFrom(...PEOPLE);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('request' as const), who }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('approve' as const), who }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('reject' as const), who }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom('patch', 'policy', 'deny', 'allow', 'allow', 'job', 'delete') }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), days: fc.constantFrom(1, 3, 7) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('require' as const), approvals: fc.constantFrom(0, 1, 2, 3) }) },
);

t.test('requests, approvals, rejections, changes and time in any order end as the model says', async (t) => {
  const w = await governance(t);
  await w.activate(POLICIES.second);
  const seen = new Set<string>();
  let moved = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 30 }), async (steps) => {
      const run = await begin(w);
      for (const one of steps) {
        const [expected, got] = [told(run.model, one), await run.act(one)];
        if (expected !== got) throw new Error(`${JSON.stringify(one)}: ${got}, by the model ${expected}`);
        seen.add(expected);
        await run.compare();
        moved += 1;
      }
    }),
    // Shrinking means running it all again, many times.
    { numRuns: RUNS, endOnFailure: true },
  );
  t.ok(moved > 100, `${moved} steps`);
  t.ok(seen.has('approved') && seen.has('pending') && seen.size > 6, [...seen].sort().join(' '));
});

/** What the step comes to by the model; '' for what changes only the surroundings. */
function told(model: Model, one: Step): string {
  switch (one.do) {
    case 'request':
      return model.request(one.who);
    case 'approve':
    case 'reject':
      return model.decide(one.who, one.do === 'approve');
    case 'patch':
      // A governed spec is frozen.
      if (!model.governed && !model.deleted) model.spec += 1;
      return '';
    case 'policy':
      model.policy = model.policy === 'first' ? 'second' : 'first';
      return '';
    case 'deny':
    case 'allow':
      model.denies = one.do === 'deny';
      return '';
    case 'job':
      model.job();
      return '';
    case 'delete':
      model.deleted = true;
      return '';
    case 'wait':
      model.day += one.days;
      return '';
    case 'require':
      model.required = one.approvals;
      return '';
  }
}

/** A new agent in a workspace as the model begins with it, and the service behind its own interface. */
async function begin(w: Governance) {
  const model = new Model();
  const agentId = await w.sandboxAgent(undefined, 2_592_000 * 12);
  let promotionId: string | undefined;
  let policy: 'first' | 'second' = 'first';
  let spec = 1;
  const head = () =>
    w.database.query('UPDATE policy_heads SET hash = $1, version = $2 WHERE workspace_id = $3', [
      POLICIES[policy],
      policy === 'first' ? 1 : 2,
      WORKSPACE,
    ]);
  const require = (approvalsRequired: number) =>
    w.workspaceSettings.patch(WORKSPACE, { approvalsRequired }, () => undefined, caller('ada'));
  w.policy.answers.clear();
  await head();
  await require(1);

  async function act(one: Step): Promise<string> {
    switch (one.do) {
      case 'request':
        return outcome(async () => {
          const answer = await w.promote(WORKSPACE, agentId, {}, caller(one.who));
          promotionId = answer.promotionId;
          return answer;
        });
      case 'approve':
      case 'reject': {
        const id = promotionId;
        if (id === undefined) return 'none';
        if (one.do === 'reject') return outcome(() => w.decisions.reject(WORKSPACE, id, 'no', caller(one.who)));
        return outcome(() => w.decisions.approve(WORKSPACE, id, undefined, caller(one.who)));
      }
      case 'patch':
        spec += 1;
        await outcome(() =>
          w.agents.patch(WORKSPACE, agentId, { spec: { description: `${spec}` } }, () => undefined, OPERATOR),
        );
        return '';
      case 'policy':
        policy = policy === 'first' ? 'second' : 'first';
        await head();
        return '';
      case 'deny':
        w.policy.answers.set('*', denial('BUDGET_EXCEEDED'));
        return '';
      case 'allow':
        w.policy.answers.clear();
        return '';
      case 'job':
        await lapseDue({ storage: w.storage, audit: w.audit, clock: () => w.time.now }, new AbortController().signal);
        return '';
      case 'delete':
        await outcome(() => w.agents.remove(WORKSPACE, agentId, OPERATOR));
        return '';
      case 'wait':
        w.time.now += one.days * DAY;
        return '';
      case 'require':
        await require(one.approvals);
        return '';
    }
  }

  async function compare(): Promise<void> {
    const { rows } = await w.database.query(
      `SELECT coalesce(p.lapse_cause, p.state) AS end, p.approvals_required AS required, p.proof_id IS NOT NULL AS proved,
         ARRAY(SELECT approver_id FROM promotion_approvals a WHERE a.promotion_id = p.id ORDER BY position) AS approvers,
         (SELECT mode FROM agents WHERE id = $1) AS mode,
         (SELECT count(*)::int FROM promotions o WHERE o.agent_id = $1 AND o.state = 'pending') AS pending
       FROM promotions p WHERE p.id = $2`,
      [agentId, promotionId ?? null],
    );
    const { promotion, governed, deleted } = model;
    const expected = promotion && {
      end: promotion.end,
      required: promotion.required,
      proved: promotion.end === 'approved',
      approvers: promotion.approvers,
      mode: deleted ? null : governed ? 'governed' : 'sandbox',
      pending: promotion.end === 'pending' ? 1 : 0,
    };
    const [is, says] = [JSON.stringify(rows[0]), JSON.stringify(expected)];
    if (is !== says) throw new Error(`stored is ${is}, by the model ${says}`);
  }

  return { model, act, compare };
}

function caller(id: string): Caller {
  return { id, kind: 'human', roles: ['kernel-approver', 'operator'], traceId: 'e'.repeat(32) };
}

/** The state an answer tells of, or the code of a refusal. */
async function outcome(act: () => Promise<unknown>): Promise<string> {
  try {
    const answer = Object(await act());
    if ('state' in answer) return String(answer.state);
    return 'success' in answer && answer.success === false ? 'denied' : 'approved';
  } catch (error) {
    if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
    throw error;
  }
}
