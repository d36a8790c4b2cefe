import type { Violation } from './evidence.ts';
import { type EventFact, type Facts, textOf } from './facts.ts';

/** An agent as the events alone say it must be. */
export interface Replayed {
  mode: string;
  status: string;
  specVersion: number;
  specHash: string;
  proofId: string | null;
  invalidated: boolean;
  quarantined: boolean;
  expiresAt: number;
  deleted: boolean;
}

export interface Chain {
  policyHash: string;
  policySeq: number;
  suspended: boolean;
  /** Engaged kill switches: agents by id, and empty for the whole chain. */
  readonly switches: Set<string>;
  readonly agents: Map<string, Replayed>;
}

const STARTABLE = new Set(['stopped', 'failed', 'stopping']);

/** Why an agent may not have been started at that event. */
export function badStart(chain: Chain, agent: Replayed, event: EventFact, facts: Facts): Violation[] {
  const { payload } = event;
  const why: string[] = [];
  if (agent.quarantined || agent.invalidated) why.push('the agent was quarantined');
  else if (!STARTABLE.has(agent.status)) why.push(`the agent was ${agent.status}`);
  if (textOf(payload, 'specHash') !== agent.specHash) why.push('its spec was another');
  if (textOf(payload, 'mode') !== agent.mode) why.push(`its mode was ${agent.mode}`);
  why.push(...badLaunch(chain, agent, event, facts));
  return why.map((reason) => ({
    invariant: 'I6',
    what: `${at(event)} started ${textOf(payload, 'agentId')}: ${reason}`,
  }));
}

/** Each process is decided as a start is, and only of an agent that was started. */
export function badRelaunch(chain: Chain, agent: Replayed, event: EventFact, facts: Facts): Violation[] {
  const { payload } = event;
  const why = agent.status === 'running' ? [] : [`the agent was ${agent.status}`];
  if (textOf(payload, 'specHash') !== agent.specHash) why.push('its spec was another');
  why.push(...badLaunch(chain, agent, event, facts));
  return why.map((reason) => ({
    invariant: 'I6',
    what: `${at(event)} launched ${textOf(payload, 'agentId')}: ${reason}`,
  }));
}

/** More replicas are decided as a start is; fewer are nobody's to allow. */
export function badScale(chain: Chain, agent: Replayed, event: EventFact, facts: Facts): Violation[] {
  const { payload } = event;
  const why = agent.status === 'running' ? [] : [`the agent was ${agent.status}`];
  const more = Number(payload['replicas']) > Number(payload['previousReplicas']);
  if (more !== (payload['decisionId'] !== undefined)) why.push('it was not decided as it had to be');
  if (more) why.push(...badLaunch(chain, agent, event, facts));
  return why.map((reason) => ({
    invariant: 'I6',
    what: `${at(event)} scaled ${textOf(payload, 'agentId')}: ${reason}`,
  }));
}

/** Why nothing of the agent may be launched at that event, but for the state it is in. */
function badLaunch(chain: Chain, agent: Replayed, event: EventFact, facts: Facts): string[] {
  const { payload, ts } = event;
  const why: string[] = [];
  if (chain.suspended) why.push('the workspace was suspended');
  // That of all workspaces is in another chain, between whose events there is no order.
  if (chain.switches.has('') || chain.switches.has(textOf(payload, 'agentId'))) why.push('a kill switch was engaged');
  if (ts >= agent.expiresAt) why.push('its time was over');
  if (textOf(payload, 'policyHash') !== chain.policyHash) why.push('the policy was another');
  if (agent.mode === 'governed') {
    const proof = facts.proofs.find(({ workspaceId, id }) => workspaceId === event.chain && id === agent.proofId);
    if (proof?.policyHash !== chain.policyHash) why.push('its proof was of another policy');
    if (proof?.specHash !== agent.specHash) why.push('its proof was of another spec');
  }
  return why;
}

export function at(event: Pick<EventFact, 'chain' | 'seq' | 'type'>): string {
  return `${event.chain}#${event.seq} ${event.type}`;
}
