import { type Clock, systemClock } from '../../../clock.ts';
import type { RuntimeConfig } from '../../../config/runtime.ts';
import type { EgressRules } from '../../../egress/rules.ts';
import type { Logger } from '../../../logger.ts';
import { IsolationUnavailable } from '../../errors.ts';
import type { Isolation, IsolationState, Sandbox } from '../../isolation.ts';
import { createOpenThings } from './open-things.ts';
import { type Ground, layGround } from './preflight/check.ts';
import { createPreflight } from './preflight/preflight.ts';
import { launchReplica } from './replica.ts';
import { openSandbox } from './sandbox.ts';

export interface BubblewrapParts {
  readonly logger: Logger;
  readonly egressRules: EgressRules;
  /** PATH, where the tools are looked for once; those of the system are found without. */
  readonly searchPath: string | undefined;
  readonly clock?: Clock;
}

/** Isolation by bubblewrap on this machine. Touches nothing before it is asked for its state. */
export function createBubblewrapIsolation(
  { bubblewrap: config }: Pick<RuntimeConfig, 'bubblewrap'>,
  { logger, egressRules, searchPath, clock = systemClock }: BubblewrapParts,
): Isolation {
  const open = createOpenThings();
  let ground: Ground | undefined;
  let closed: Promise<void> | undefined;
  const preflight = createPreflight(look, clock);

  async function look(): Promise<IsolationState> {
    if (closed !== undefined) return { available: false, problem: CLOSED };
    try {
      if (ground === undefined) ground = await layGround(config, searchPath);
      else await ground.tryAgain();
      return { available: true, limits: ground.places.limits, version: ground.version };
    } catch (error) {
      if (error instanceof IsolationUnavailable) return { available: false, problem: error.problem };
      logger.error({ err: error }, 'trying isolation has failed');
      return { available: false, problem: FAILED };
    }
  }

  async function solidGround(): Promise<Ground> {
    const state = await preflight.state();
    if (!state.available) throw new IsolationUnavailable(state.problem);
    if (ground === undefined || closed !== undefined) throw new IsolationUnavailable(CLOSED);
    return ground;
  }

  async function close(): Promise<void> {
    // A look that is under way may lay the ground yet.
    await preflight.settled();
    try {
      await open.close();
    } finally {
      await ground?.host.close();
      await ground?.places.close();
      ground = undefined;
    }
  }

  return {
    name: 'bubblewrap',
    state: preflight.state,
    recheck: preflight.recheck,
    slots: {
      get used() {
        return ground?.places.slots.used ?? 0;
      },
      total: config.slots,
    },
    openSandbox: (request) =>
      open.add(async (forget) => {
        const { host, places } = await solidGround();
        const sandbox = await openSandbox({ host, places, egressRules }, request);
        const thing: Sandbox = {
          run: sandbox.run,
          get egress() {
            return sandbox.egress;
          },
          close: () => sandbox.close().finally(forget),
        };
        return { thing, end: () => sandbox.close() };
      }),
    agents: {
      kind: 'local',
      launch: (request) =>
        open.add(async (forget) => {
          const { host, places } = await solidGround();
          try {
            const replica = await launchReplica({ host, places, egressRules }, request);
            void replica.exited.finally(forget);
            return { thing: replica, end: () => replica.stop(0) };
          } catch (error) {
            // What nothing can be launched with is not as it was.
            if (error instanceof IsolationUnavailable && error.problem.check === 'launch') void preflight.recheck();
            throw error;
          }
        }),
    },
    close: () => {
      closed ??= close();
      return closed;
    },
  };
}

const CLOSED = {
  check: 'service',
  observed: 'the service is ending',
  fix: 'Ask another replica, or this one when it has started again',
};
const FAILED = {
  check: 'preflight',
  observed: 'trying isolation has failed in a way that is not known',
  fix: 'The log of the service has the error',
};
