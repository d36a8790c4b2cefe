import { type Call, isDone, type Operation, type Outcome } from '../support/history.ts';
import type { Evidence, Violation } from './evidence.ts';
import { type EventFact, textOf } from './facts.ts';
import { at } from './launches.ts';

type Answer = Extract<Outcome, { kind: 'answered' }>;

/** Everything that one call of an operation may leave behind, whatever came of it. Nothing is always among it. */
const EFFECTS: Readonly<Record<Operation, readonly (readonly string[])[]>> = {
  createAgent: [['agent.created']],
  startAgent: [['agent.start.allowed'], ['agent.start.denied']],
  stopAgent: [['agent.stopped']],
  promoteAgent: [
    ['promotion.approved', 'proof.issued'],
    ['promotion.approved', 'proof.issued', 'agent.stopped'],
    ['promotion.denied'],
  ],
  quarantineAgent: [['agent.quarantined']],
  releaseAgent: [['agent.released'], ['agent.released', 'proof.renewed'], ['agent.release.denied']],
  // The second is the policy in force once more: only its agents are looked at again.
  hotReloadPolicy: [['policy.activated', 'revalidation.requested'], ['revalidation.requested'], ['policy.rejected']],
  getAgentStatus: [],
  getPolicySnapshot: [],
};
const REFUSED_ACCESS = ['access.denied'];

/** I3 and I4: what clients were told, against what is there. Every event names the attempt that caused it. */
export function answers({ calls, facts }: Evidence): Violation[] {
  const caused = Map.groupBy(
    facts.events.filter(({ traceId }) => traceId !== null),
    ({ traceId }) => traceId ?? '',
  );
  const positions = new Map(facts.events.map((event) => [`${event.chain} ${event.seq}`, event]));
  const found: Violation[] = [];
  for (const call of calls) {
    found.push(...unfit(call));
    const events = caused.get(call.traceId) ?? [];
    const types = events.map(({ type }) => type);
    if (isDone(call.outcome) || isDenial(call.outcome)) found.push(...promised(call, events, positions));
    else if (!isWhole(call.operation, types)) {
      found.push({ invariant: 'I4', what: `${nameOf(call)} left ${types.join(', ')}: neither all of it nor nothing` });
    } else if (isRefusal(call.outcome) && types.length > 0 && `${types}` !== `${REFUSED_ACCESS}`) {
      found.push({ invariant: 'I4', what: `${nameOf(call)} was refused and yet left ${types.join(', ')}` });
    }
  }
  found.push(...oncePerKey(calls, caused));
  return found;
}

/** What is away is 503 and says when to come back; 500 is a fault of the service itself, whatever was away. */
function unfit(call: Call): Violation[] {
  const { outcome } = call;
  if (outcome.kind !== 'answered') return [];
  if (outcome.status === 500) return [{ invariant: 'I4', what: `${nameOf(call)} was not told 503` }];
  const comeBack = outcome.status === 503 || outcome.status === 429;
  return comeBack && !outcome.retryAfter ? [{ invariant: 'I4', what: `${nameOf(call)} was given no Retry-After` }] : [];
}

/** An answer that promises events: each of them must be there, and none besides. */
function promised(call: Call, events: readonly EventFact[], positions: ReadonlyMap<string, EventFact>): Violation[] {
  const { outcome } = call;
  if (outcome.kind !== 'answered') return [];
  const found: Violation[] = [];
  const types = events.map(({ type }) => type);
  const expected = outcome.replayed ? [[]] : expectedEvents(call.operation, outcome);
  if (!expected.some((one) => `${one}` === `${types}`)) {
    const missing = types.length === 0;
    const what = `${nameOf(call)} should have left ${expected.map((one) => one.join(' + ')).join(' or ') || 'nothing'}, there is ${types.join(' + ') || 'nothing'}`;
    found.push({ invariant: missing ? 'I3' : 'I2', what });
  }
  const { receipt } = outcome;
  if (receipt !== undefined) {
    const event = positions.get(`${receipt.chain} ${receipt.seq}`);
    if (event === undefined || event.hash !== receipt.hash) {
      found.push({
        invariant: 'I3',
        what: `${nameOf(call)} was given ${receipt.chain}#${receipt.seq}, which is not there`,
      });
    }
  }
  return found.concat(misnamed(call, outcome, events));
}

/** Ids in the answer that the events do not bear out. */
function misnamed(call: Call, outcome: Answer, events: readonly EventFact[]): Violation[] {
  const [event] = events;
  if (event === undefined) return [];
  const told = { agentId: outcome.agentId, decisionId: outcome.decisionId, promotionId: outcome.promotionId };
  return Object.entries(told)
    .filter(
      ([member, value]) =>
        value !== undefined && event.payload[member] !== undefined && textOf(event.payload, member) !== value,
    )
    .map(([member, value]) => ({
      invariant: 'I3',
      what: `${nameOf(call)} was told ${member} ${value}, not that of ${at(event)}`,
    }));
}

function expectedEvents(operation: Operation, answer: Answer): readonly (readonly string[])[] {
  const all = EFFECTS[operation];
  const of = (first: string) => all.filter(([type]) => type === first);
  switch (operation) {
    case 'createAgent':
      return all;
    case 'startAgent':
      if (isDenial(answer)) return of('agent.start.denied');
      return answer.alreadyRunning === true ? [[]] : of('agent.start.allowed');
    case 'stopAgent':
    case 'quarantineAgent':
      // Without a receipt nothing had to change.
      return answer.receipt === undefined ? [[]] : all;
    case 'promoteAgent':
      return of(answer.success === true ? 'promotion.approved' : 'promotion.denied');
    case 'releaseAgent':
      return of(isDenial(answer) ? 'agent.release.denied' : 'agent.released');
    case 'hotReloadPolicy':
      // The active policy again changes nothing but may be looked at again.
      return answer.policyHash === answer.previousPolicyHash
        ? [[], ...of('revalidation.requested'), ...of('policy.activated')]
        : of('policy.activated');
    case 'getAgentStatus':
    case 'getPolicySnapshot':
      return [[]];
  }
}

/** I4: all attempts under one key have one effect, and a replay tells the same. */
function oncePerKey(calls: readonly Call[], caused: ReadonlyMap<string, readonly EventFact[]>): Violation[] {
  const keyed = calls.filter(({ key }) => key !== undefined);
  const groups = Map.groupBy(keyed, ({ key, who, workspaceId }) => `${who} ${workspaceId} ${key}`);
  const found: Violation[] = [];
  for (const group of groups.values()) {
    const effects = group.flatMap((call) => {
      const events = (caused.get(call.traceId) ?? []).filter(({ type }) => type !== 'access.denied');
      return events.length === 0 ? [] : [`${events.map(at).join(' + ')} of ${nameOf(call)}`];
    });
    const [first] = group;
    if (effects.length > 1) {
      found.push({ invariant: 'I4', what: `one key had ${effects.length} effects: ${effects.join('; ')}` });
    }
    const told = new Set(group.map(({ outcome }) => identityOf(outcome)).filter((one) => one !== undefined));
    if (told.size > 1 && first !== undefined) {
      found.push({ invariant: 'I4', what: `${nameOf(first)}: one key was answered as ${[...told].join(' and ')}` });
    }
  }
  return found;
}

function identityOf(outcome: Outcome): string | undefined {
  if (outcome.kind !== 'answered' || !(isDone(outcome) || isDenial(outcome))) return undefined;
  const { status, agentId, decisionId, receipt } = outcome;
  return `${status} ${agentId} ${decisionId} ${receipt?.chain}#${receipt?.seq}`;
}

function isWhole(operation: Operation, types: readonly string[]): boolean {
  return [[], REFUSED_ACCESS, ...EFFECTS[operation]].some((one) => `${one}` === `${types}`);
}

/** A denial by governance is a decision that was made and recorded. */
function isDenial(outcome: Outcome): boolean {
  return outcome.kind === 'answered' && outcome.status === 403 && outcome.decisionId !== undefined;
}

/** The caller was told that it did not happen. */
function isRefusal(outcome: Outcome): boolean {
  return outcome.kind === 'answered' && outcome.status >= 400 && outcome.status < 500;
}

export function nameOf({ operation, workspaceId, agentId, who, instance, outcome, traceId }: Call): string {
  const told = outcome.kind === 'answered' ? `${outcome.status} ${outcome.code ?? ''}`.trim() : outcome.reason;
  return `${operation} ${workspaceId}/${agentId ?? ''} by ${who} at ${instance} (${told}; trace ${traceId})`;
}
