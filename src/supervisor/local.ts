import { type Claim, type ClaimKey, keyOf, type ReadyReport, wantedReplicas } from './claim.ts';
import type { Keeper } from './keeper.ts';
import type { LocalAgent } from './local-agent.ts';
import { createRowFigures, mayGo } from './row-figures.ts';

/** Keeps agents in processes of this machine, which end with the service. `open` makes what keeps one of them. */
export function createLocalKeeper(open: (claim: Claim) => LocalAgent): Keeper {
  const agents = new Map<string, LocalAgent>();
  const latest = new Map<string, Claim>();
  const rows = createRowFigures();

  function arrange(): void {
    for (const [key, agent] of agents) if (!latest.has(key)) void drop(key, agent);
    for (const [key, claim] of latest) {
      const agent = agents.get(key);
      if (agent?.claim.token === claim.token) agent.update(claim);
      // What is left of an earlier claim ends first.
      else if (agent !== undefined) void drop(key, agent);
      else if (wantedReplicas(claim) > 0) agents.set(key, open(claim));
    }
  }

  async function drop(key: string, agent: LocalAgent): Promise<void> {
    await agent.end(0);
    if (agents.get(key) !== agent) return;
    agents.delete(key);
    arrange();
  }

  function reports(): ReadyReport[] {
    return [...agents.values()].flatMap(({ claim, ready }) => rows.differing(claim, ready));
  }

  function releases(): ClaimKey[] {
    return [...latest.values()].filter((claim) => mayGo(claim) && (agents.get(keyOf(claim))?.isIdle ?? true));
  }

  async function close(graceMs: number): Promise<void> {
    latest.clear();
    await Promise.all([...agents.values()].map((agent) => agent.end(graceMs)));
    agents.clear();
  }

  return {
    kind: 'local',
    get ready() {
      return agents.values().reduce((sum, { ready }) => sum + ready, 0);
    },
    found: () => [],
    reconcile: (claims) => {
      latest.clear();
      for (const claim of claims) latest.set(keyOf(claim), claim);
      rows.are(claims);
      arrange();
    },
    tick: () => {
      for (const agent of agents.values()) agent.tick();
    },
    reports,
    reported: rows.reported,
    releases,
    abandon: () => close(0),
    close,
  };
}
