export type AgentMode = 'sandbox' | 'governed';

export const AGENT_STATUSES = ['stopped', 'starting', 'running', 'stopping', 'failed', 'quarantined'] as const;
export type AgentStatus = (typeof AGENT_STATUSES)[number];

/** What is asked of an agent, and what a runtime saw happen to it. */
export type AgentCommand = 'start' | 'stop' | 'expire' | 'quarantine' | 'invalidate' | 'release' | 'promote';
export type ObservedFact = 'started' | 'exited';

type LifecycleRefusal = 'AGENT_QUARANTINED' | 'NOT_QUARANTINED';

/** `to` is the state to store; `same` changes nothing (it is that already, or comes too late); else it is refused. */
export type Transition =
  | { readonly to: AgentStatus }
  | { readonly same: true }
  | { readonly refused: LifecycleRefusal };

const SAME: Transition = { same: true };
const QUARANTINED: Transition = { refused: 'AGENT_QUARANTINED' };
const FREE: Transition = { refused: 'NOT_QUARANTINED' };
const to = (status: AgentStatus): Transition => ({ to: status });

/** Every state against everything that can happen to it. Quarantine is entered from anywhere and left by release alone. */
const TRANSITIONS: Readonly<Record<AgentCommand | ObservedFact, Readonly<Record<AgentStatus, Transition>>>> = {
  start: {
    stopped: to('starting'),
    starting: SAME,
    running: SAME,
    stopping: to('starting'),
    failed: to('starting'),
    quarantined: QUARANTINED,
  },
  stop: {
    stopped: SAME,
    starting: to('stopping'),
    running: to('stopping'),
    stopping: SAME,
    failed: to('stopped'),
    quarantined: SAME,
  },
  // A sandbox agent's time is up: only what runs has to end.
  expire: {
    stopped: SAME,
    starting: to('stopping'),
    running: to('stopping'),
    stopping: SAME,
    failed: SAME,
    quarantined: SAME,
  },
  quarantine: {
    stopped: to('quarantined'),
    starting: to('quarantined'),
    running: to('quarantined'),
    stopping: to('quarantined'),
    failed: to('quarantined'),
    quarantined: SAME,
  },
  invalidate: {
    stopped: to('quarantined'),
    starting: to('quarantined'),
    running: to('quarantined'),
    stopping: to('quarantined'),
    failed: to('quarantined'),
    quarantined: SAME,
  },
  release: {
    stopped: FREE,
    starting: FREE,
    running: FREE,
    stopping: FREE,
    failed: FREE,
    quarantined: to('stopped'),
  },
  promote: {
    stopped: SAME,
    starting: SAME,
    running: SAME,
    stopping: SAME,
    failed: SAME,
    quarantined: QUARANTINED,
  },
  started: {
    stopped: SAME,
    starting: to('running'),
    running: SAME,
    stopping: SAME,
    failed: SAME,
    quarantined: SAME,
  },
  // An end that nobody asked for is a failure.
  exited: {
    stopped: SAME,
    starting: to('failed'),
    running: to('failed'),
    stopping: to('stopped'),
    failed: SAME,
    quarantined: SAME,
  },
};

/** What becomes of an agent in `status` when `happening` reaches it. Pure and total. */
export function transition(status: AgentStatus, happening: AgentCommand | ObservedFact): Transition {
  return TRANSITIONS[happening][status];
}

/** True while a process of the agent may exist, or is about to. */
export function isActive(status: AgentStatus): boolean {
  return status === 'starting' || status === 'running' || status === 'stopping';
}
