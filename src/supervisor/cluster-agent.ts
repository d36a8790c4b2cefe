import { CodedError } from '../errors.ts';
import { newId } from '../ids.ts';
import type { ClusterAgentState, ClusterHost } from '../runtime/isolation.ts';
import { createBackoff } from './backoff.ts';
import { type Claim, wantedReplicas } from './claim.ts';
import type { KeptParts } from './kept-parts.ts';
import { followPods } from './pod-logs.ts';
import type { PreparedLaunch } from './prepare.ts';
import { isHopeless, isItsOwn } from './slot.ts';

/** ms: a cluster waits up to 5 minutes before it restarts a container, so that a longer time between two means health. */
const CLUSTER_HEALTHY_MS = 600_000;

export interface ClusterAgentParts extends KeptParts {
  readonly host: ClusterHost;
  /** What a claimed agent is to be; undefined when it is gone. */
  readonly load: (claim: Claim) => Promise<PreparedLaunch | undefined>;
}

/** One claimed agent in the cluster. */
export interface KeptInCluster {
  readonly claim: Claim;
  readonly ready: number;
  /** The cluster has nothing of it, as seen after the last thing that was done about it. */
  readonly isGone: boolean;
  update(claim: Claim): void;
  /** What the cluster had of it in a look that began then. */
  observed(state: ClusterAgentState | undefined, lookedAt: number): void;
  tick(): void;
  /** Another's, or nobody's: it is left as it is. */
  leave(): void;
}

export function createClusterKept(parts: ClusterAgentParts, first: Claim): KeptInCluster {
  const { host, outcomes, observe, log, now } = parts;
  const backoff = createBackoff({ ...parts.restarts, healthyMs: CLUSTER_HEALTHY_MS }, parts.random);
  let claim = first;
  let state: ClusterAgentState | undefined;
  let isGone = false;
  let hasLooked = false;
  let halted: number | undefined;
  let failure: string | undefined;
  let isBusy = false;
  let isAgain = false;
  let hasLeft = false;
  /** Monotonic ms of the last thing done to it, and before which nothing is tried again. */
  let actedAt = Number.NEGATIVE_INFINITY;
  let notBefore = 0;
  let restarts: number | undefined;
  let restartedAt = Number.NEGATIVE_INFINITY;
  let exitAt: string | undefined;
  let launchId = newId();
  let launches = 0;
  const logs = followPods(host, (pod, chunk) => parts.sink(claim, launchId, pod)('stdout', chunk));

  function wanted(): number {
    return halted === claim.startedGeneration ? 0 : wantedReplicas(claim);
  }

  /** One thing after the other; what comes meanwhile is looked at again. */
  function act(): void {
    if (isBusy) {
      isAgain = true;
      return;
    }
    isBusy = true;
    void once().finally(() => {
      isBusy = false;
      if (!isAgain || hasLeft) return;
      isAgain = false;
      act();
    });
  }

  async function once(): Promise<void> {
    if (hasLeft) return;
    try {
      if (failure !== undefined) await writeFailure(failure);
      if (wanted() === 0) await takeAway();
      else await bringAbout();
    } catch (err) {
      notBefore = now() + backoff.postponed();
      log.warn({ err, ...names() }, 'the cluster did not do what an agent needs; it is tried again');
    }
  }

  async function takeAway(): Promise<void> {
    logs.stop();
    if (isGone) return;
    // Whoever has just claimed it does not know yet whether the cluster has anything of it.
    if (!hasLooked && !claim.isUrgent) return;
    const { isUrgent, status } = claim;
    const graceMs = isUrgent || status === null || status === 'stopped' ? 0 : parts.stopGraceMs;
    await host.remove(claim.workspaceId, claim.agentId, graceMs);
    actedAt = now();
  }

  async function bringAbout(): Promise<void> {
    if (!hasLooked || !parts.mayLaunch() || now() < notBefore) return;
    if (state !== undefined && state.generation < claim.startedGeneration) {
      // Of an earlier start: it ends before this one begins.
      await host.remove(claim.workspaceId, claim.agentId, parts.stopGraceMs);
      actedAt = now();
      return;
    }
    if ((state === undefined ? undefined : state.generation) !== claim.generation) await apply();
    if (state === undefined) return;
    await noteExit(state);
    if (!(await admitRestarts(state))) return;
    await admitWaiting(state);
    if (state.readyReplicas > 0) logs.start(claim.workspaceId, claim.agentId);
  }

  async function apply(): Promise<void> {
    const prepared = await orLacking(() => parts.load(claim));
    if (prepared === undefined) return;
    const { plan, secrets } = prepared;
    const { workspaceId, agentId, generation } = claim;
    await host.apply({ workspaceId, agentId, generation, replicas: wanted(), secrets, ...withoutSecrets(plan) });
    actedAt = now();
    isGone = false;
  }

  /** Pods that are held back until admission has let them. */
  async function admitWaiting({ waiting, readyReplicas }: ClusterAgentState): Promise<void> {
    for (const [index, pod] of waiting.entries()) {
      if (!(await permitted(Math.min(readyReplicas + index, wanted() - 1)))) return;
      if (!parts.mayLaunch() || wanted() === 0) return;
      await host.admit(pod);
      actedAt = now();
      observe.launched('launched');
    }
  }

  /** A container that was restarted in its pod runs already: without a permit the agent is taken down. */
  async function admitRestarts({ restarts: count }: ClusterAgentState): Promise<boolean> {
    const before = restarts ?? 0;
    restarts = count;
    if (count <= before) return true;
    observe.restarted();
    const ranMs = now() - restartedAt;
    restartedAt = now();
    if (backoff.ended(ranMs) === undefined) {
      halt('RESTARTS_EXHAUSTED');
      return false;
    }
    const isPermitted = await permitted(0);
    // Asked again about it until there is an answer.
    if (!isPermitted && wanted() > 0) restarts = before;
    return isPermitted;
  }

  async function permitted(replica: number): Promise<boolean> {
    const asked = newId();
    const permit = await parts.askPermit({
      claim,
      launchId: asked,
      replica,
      endsWithClaim: false,
      launches,
      prepare: async () => undefined,
    });
    if (permit.outcome === 'denied') {
      observe.launched('denied');
      log.info({ ...names(), action: 'agent.launch', codes: permit.denies.map(({ code }) => code) }, 'decision');
      halted = claim.startedGeneration;
      isAgain = true;
    }
    if (permit.outcome !== 'granted') return false;
    launches += 1;
    launchId = asked;
    return true;
  }

  async function noteExit({ lastExit }: ClusterAgentState): Promise<void> {
    if (lastExit === undefined || lastExit.at === exitAt) return;
    exitAt = lastExit.at;
    await outcomes.observed(claim, { launchId, replica: 0, exit: lastExit });
  }

  async function orLacking<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof CodedError) || !(isHopeless(error) || isItsOwn(error.code))) throw error;
      observe.launched('failed');
      log.warn({ ...names(), code: error.code, reason: error.message }, 'an agent lacks what its spec names');
      await outcomes.unlaunched(claim, error.code);
      const waitMs = isHopeless(error) ? undefined : backoff.ended(0);
      if (waitMs === undefined) halt(error.code);
      else notBefore = now() + waitMs;
      return undefined;
    }
  }

  function halt(code: string): void {
    halted = claim.startedGeneration;
    failure = code;
    isAgain = true;
  }

  /** Until it is written, the row says that the agent runs. */
  async function writeFailure(code: string): Promise<void> {
    await outcomes.failed(claim, code, launches);
    failure = undefined;
  }

  function names() {
    return { workspaceId: claim.workspaceId, agentId: claim.agentId };
  }

  return {
    get claim() {
      return claim;
    },
    get ready() {
      // Whoever has just claimed it has not looked yet: what the row says was seen by another.
      if (!hasLooked) return claim.readyReplicas;
      if (state === undefined || state.generation < claim.startedGeneration) return 0;
      return Math.min(state.readyReplicas, wanted());
    },
    get isGone() {
      return isGone && !isBusy;
    },
    update: (next) => {
      if (next.startedGeneration !== claim.startedGeneration) notBefore = 0;
      claim = next;
      act();
    },
    observed: (next, lookedAt) => {
      // A look that began before the last thing was done says nothing of it.
      if (isBusy || lookedAt <= actedAt) return;
      // What the one before has seen and written down is not written twice.
      if (!hasLooked) exitAt = next?.lastExit?.at;
      hasLooked = true;
      state = next;
      isGone = next === undefined;
      act();
    },
    tick: () => {
      if (failure !== undefined) act();
    },
    leave: () => {
      hasLeft = true;
      logs.stop();
    },
  };
}

function withoutSecrets({ image, command, args, env, limits, allowDomains }: PreparedLaunch['plan']) {
  return { image, command, args, env, limits, allowDomains };
}
