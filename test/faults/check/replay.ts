import type { Violation } from './evidence.ts';
import { type AgentFact, type EventFact, type Facts, renewedTogether, textOf } from './facts.ts';
import { at, badRelaunch, badScale, badStart, type Chain, type Replayed } from './launches.ts';

export interface Replay {
  /** By `<workspace>/<agent>`. */
  readonly agents: ReadonlyMap<string, Replayed>;
  readonly policies: ReadonlyMap<string, { readonly hash: string; readonly seq: number }>;
  /** `<chain>/<agent>` of each kill switch that is engaged. */
  readonly switches: ReadonlySet<string>;
  readonly violations: readonly Violation[];
}

type Rule = (chain: Chain, agent: Replayed, event: EventFact, facts: Facts) => Violation[] | undefined;

/** What each event does to the agent it names. */
const AGENT_RULES: Readonly<Record<string, Rule>> = {
  'agent.updated': (_chain, agent, { payload }) => {
    agent.specVersion = Number(payload['specVersion']);
    agent.specHash = textOf(payload, 'specHash');
    return undefined;
  },
  'agent.deleted': (_chain, agent) => {
    agent.deleted = true;
    return undefined;
  },
  'agent.start.allowed': (chain, agent, event, facts) => {
    const found = badStart(chain, agent, event, facts);
    agent.status = 'running';
    return found;
  },
  'agent.launched': (chain, agent, event, facts) => badRelaunch(chain, agent, event, facts),
  'agent.failed': (_chain, agent) => {
    agent.status = 'failed';
    return undefined;
  },
  'agent.scaled': (chain, agent, event, facts) => badScale(chain, agent, event, facts),
  'agent.stopped': (_chain, agent) => {
    agent.status = 'stopped';
    return undefined;
  },
  'agent.expired': (_chain, agent) => {
    agent.status = 'stopped';
    return undefined;
  },
  'agent.quarantined': (_chain, agent) => {
    agent.status = 'quarantined';
    agent.quarantined = true;
    return undefined;
  },
  'agent.invalidated': (_chain, agent) => {
    agent.status = 'quarantined';
    agent.invalidated = true;
    agent.quarantined = true;
    return undefined;
  },
  'agent.released': (_chain, agent, { payload }) => {
    agent.status = 'stopped';
    agent.invalidated = false;
    agent.quarantined = false;
    if (payload['proofId'] !== undefined) agent.proofId = textOf(payload, 'proofId');
    return undefined;
  },
  'promotion.approved': (_chain, agent) => {
    agent.mode = 'governed';
    agent.expiresAt = Number.POSITIVE_INFINITY;
    return undefined;
  },
  'proof.issued': (_chain, agent, { payload }) => {
    agent.proofId = textOf(payload, 'proofId');
    return undefined;
  },
  'proof.renewed': (_chain, agent, { payload }) => {
    agent.proofId = textOf(payload, 'proofId');
    return undefined;
  },
  // Denials, and what only says that something was looked at: they change no state.
  'agent.start.denied': () => undefined,
  // The end of a process, or its loss: what is wanted of its agent stays, unless agent.failed follows.
  'agent.exited': () => undefined,
  'agent.release.denied': () => undefined,
  'agent.revalidated': () => undefined,
  // The agent itself does not run; the rows of runs are compared elsewhere.
  'sandbox.run.created': () => undefined,
  'sandbox.run.denied': () => undefined,
  'sandbox.run.completed': () => undefined,
  'sandbox.run.failed': () => undefined,
  'sandbox.run.timeout': () => undefined,
  'sandbox.run.killed': () => undefined,
  'sandbox.run.cancelled': () => undefined,
  'sandbox.run.error': () => undefined,
  'promotion.denied': () => undefined,
  // What humans say of a promotion changes it and nothing of its agent; its own rows are compared elsewhere.
  'promotion.requested': () => undefined,
  'promotion.approval.given': () => undefined,
  'promotion.rejected': () => undefined,
};

const POLICY_CHANGES = new Set(['policy.activated', 'policy.rolledback']);
/** Events that are about no agent and no policy head; the rows they go with are compared elsewhere. */
const OTHERS = new Set([
  'workspace.created',
  // Also of an agent that is gone.
  'promotion.lapsed',
  'policy.shadowed',
  'policy.rejected',
  'revalidation.requested',
  'signer.registered',
  'signer.rotation.requested',
  'signer.rotation.applied',
  'signer.retired',
  'signer.range.closed',
  'signer.revoked',
  'signer.compromise',
  'access.denied',
  'access.lock.placed',
  'access.lock.released',
  'access.breakglass.granted',
  'access.breakglass.used',
  'access.breakglass.ended',
  'identity.map.applied',
  'identity.reload.refused',
  'trust.bundle.applied',
  'server.certificate.applied',
  'revocations.applied',
  'token.issuers.applied',
  'workspace.settings.changed',
  'template.created',
  'template.updated',
  'template.deleted',
  'manifest.accepted',
  'manifest.rejected',
  'audit.deferred.covered',
  'audit.range.reattested',
]);

/**
 * Goes through every chain in order, and says what the state must be now (I2), which starts their admission did not carry
 * (I6) and which decisions name a policy that was not in force (I7).
 */
export function replay(facts: Facts): Replay {
  const chains = new Map<string, Chain>();
  const violations: Violation[] = [];
  for (const event of facts.events) {
    const chain = chains.get(event.chain) ?? {
      policyHash: '',
      policySeq: 0,
      suspended: false,
      switches: new Set<string>(),
      agents: new Map<string, Replayed>(),
    };
    chains.set(event.chain, chain);
    violations.push(...step(chain, event, facts));
  }
  const agents = new Map<string, Replayed>();
  const policies = new Map<string, { hash: string; seq: number }>();
  for (const [name, chain] of chains) {
    for (const [id, agent] of chain.agents) agents.set(`${name}/${id}`, agent);
    if (chain.policySeq > 0) policies.set(name, { hash: chain.policyHash, seq: chain.policySeq });
  }
  const switches = new Set([...chains].flatMap(([name, chain]) => [...chain.switches].map((id) => `${name}/${id}`)));
  return { agents, policies, switches, violations };
}

function step(chain: Chain, event: EventFact, facts: Facts): Violation[] {
  const { type, payload } = event;
  if (POLICY_CHANGES.has(type)) {
    chain.policyHash = textOf(payload, 'policyHash');
    chain.policySeq = event.seq;
    return [];
  }
  if (type === 'workspace.suspended' || type === 'workspace.resumed') {
    chain.suspended = type === 'workspace.suspended';
    return [];
  }
  if (type === 'killswitch.engaged') chain.switches.add(textOf(payload, 'agentId'));
  if (type === 'killswitch.cleared') chain.switches.delete(textOf(payload, 'agentId'));
  if (type.startsWith('killswitch.')) return [];
  const found: Violation[] = [];
  if (payload['decisionId'] !== undefined && textOf(payload, 'policyHash') !== chain.policyHash) {
    const what = `${at(event)} names policy ${textOf(payload, 'policyHash')}, in force was ${chain.policyHash}`;
    found.push({ invariant: 'I7', what });
  }
  if (type === 'agent.created' || type === 'agent.forked') {
    found.push(...born(chain, event));
    return found;
  }
  if (type === 'proof.mass.renewed') {
    found.push(...renewedMany(chain, event));
    return found;
  }
  const rule = AGENT_RULES[type];
  if (rule === undefined) {
    if (!OTHERS.has(type)) found.push({ invariant: 'I2', what: `${at(event)}: the checker has no rule for ${type}` });
    return found;
  }
  const agent = chain.agents.get(textOf(payload, 'agentId'));
  if (agent === undefined || agent.deleted) {
    found.push({ invariant: 'I2', what: `${at(event)} is about an agent that is not there` });
    return found;
  }
  found.push(...(rule(chain, agent, event, facts) ?? []));
  return found;
}

/** As proof.renewed, for each agent that the event names. */
function renewedMany(chain: Chain, event: EventFact): Violation[] {
  return renewedTogether(event.payload).flatMap((one) => {
    const agent = chain.agents.get(textOf(one, 'agentId'));
    if (agent === undefined || agent.deleted) {
      return [{ invariant: 'I2' as const, what: `${at(event)} is about an agent that is not there` }];
    }
    if (agent.proofId !== textOf(one, 'previousProofId')) {
      return [{ invariant: 'I2' as const, what: `${at(event)} follows a proof that was not the agent's` }];
    }
    agent.proofId = textOf(one, 'proofId');
    return [];
  });
}

function born(chain: Chain, event: EventFact): Violation[] {
  const { payload } = event;
  const id = textOf(payload, 'agentId');
  const again = chain.agents.has(id);
  chain.agents.set(id, {
    mode: 'sandbox',
    status: 'stopped',
    specVersion: Number(payload['specVersion']),
    specHash: textOf(payload, 'specHash'),
    proofId: null,
    invalidated: false,
    quarantined: false,
    expiresAt: Date.parse(textOf(payload, 'expiresAt')),
    deleted: false,
  });
  return again ? [{ invariant: 'I2', what: `${at(event)} creates ${id} a second time` }] : [];
}

/** Differences between what the events say of an agent and its row. */
export function differences(row: AgentFact, expected: Replayed): string[] {
  const members = ['mode', 'status', 'specVersion', 'specHash', 'proofId', 'invalidated', 'quarantined'] as const;
  return members
    .filter((member) => row[member] !== expected[member])
    .map((member) => `${member} is ${String(row[member])}, by its events ${String(expected[member])}`);
}
