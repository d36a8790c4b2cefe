import type { ClusterAgentState, ClusterHost } from '../runtime/isolation.ts';
import { type Claim, keyOf } from './claim.ts';
import { type ClusterAgentParts, createClusterKept, type KeptInCluster } from './cluster-agent.ts';
import type { Keeper } from './keeper.ts';
import { createRowFigures, mayGo } from './row-figures.ts';
import type { AgentKey } from './store.ts';

/** ms between two looks at the cluster: how long a pod waits for its admission at most. */
const LOOK_MS = 1000;

/**
 * Keeps agents in a cluster, where they live on without the service: whoever takes a claim over finds them again. Every pod
 * waits at its gate until admission let it, and so does what a container's restart in place goes on from.
 */
export function createClusterKeeper(parts: ClusterAgentParts & { readonly host: ClusterHost }): Keeper {
  const { host, now, log } = parts;
  const agents = new Map<string, KeptInCluster>();
  const rows = createRowFigures();
  let found: readonly AgentKey[] = [];
  let looking: Promise<void> | undefined;
  let lookedAt = Number.NEGATIVE_INFINITY;

  async function look(): Promise<void> {
    const startedAt = now();
    let states: readonly ClusterAgentState[];
    try {
      states = await host.observe();
    } catch (err) {
      return log.warn({ err }, 'the cluster cannot be looked at; what runs there goes on');
    }
    const byKey = new Map(states.map((state) => [keyOf(state), state]));
    found = states.filter((state) => !agents.has(keyOf(state)));
    for (const [key, agent] of agents) agent.observed(byKey.get(key), startedAt);
  }

  function forget(): void {
    for (const agent of agents.values()) agent.leave();
    agents.clear();
    found = [];
  }

  return {
    kind: 'cluster',
    get ready() {
      return agents.values().reduce((sum, { ready }) => sum + ready, 0);
    },
    found: () => found,
    reconcile: (claims) => {
      const latest = new Map(claims.map((claim): [string, Claim] => [keyOf(claim), claim]));
      for (const [key, agent] of agents) {
        if (latest.get(key)?.token === agent.claim.token) continue;
        agent.leave();
        agents.delete(key);
      }
      for (const [key, claim] of latest) {
        const agent = agents.get(key);
        if (agent === undefined) agents.set(key, createClusterKept(parts, claim));
        else agent.update(claim);
      }
      found = found.filter((one) => !agents.has(keyOf(one)));
      rows.are(claims);
    },
    tick: () => {
      for (const agent of agents.values()) agent.tick();
      if (looking !== undefined || now() - lookedAt < LOOK_MS) return;
      lookedAt = now();
      looking = look().finally(() => {
        looking = undefined;
      });
    },
    reports: () => [...agents.values()].flatMap(({ claim, ready }) => rows.differing(claim, ready)),
    reported: rows.reported,
    releases: () =>
      [...agents.values()].filter(({ claim, isGone }) => mayGo(claim) && isGone).map(({ claim }) => claim),
    abandon: async () => forget(),
    close: async () => {
      forget();
      await looking;
    },
  };
}
