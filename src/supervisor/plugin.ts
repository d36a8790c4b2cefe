import fastifyPlugin from 'fastify-plugin';

import type { Clock } from '../clock.ts';
import type { RuntimeConfig } from '../config/runtime.ts';
import type { Isolation } from '../runtime/isolation.ts';
import { RESTARTS, type RestartPolicy } from './backoff.ts';
import type { Claim } from './claim.ts';
import { createClusterKeeper } from './cluster.ts';
import { createLocalKeeper } from './local.ts';
import { createLocalAgent } from './local-agent.ts';
import { createAgentLogs } from './logs/service.ts';
import { createLogStore } from './logs/store.ts';
import { createLogWriter } from './logs/writer.ts';
import { createNoteLosses } from './losses.ts';
import { createOutcomes } from './outcomes.ts';
import { createPermits } from './permit.ts';
import { createPlaces, createRoom } from './places.ts';
import { createClaimPreparation, createPreparation } from './prepare.ts';
import { supervisorRoutes } from './routes.ts';
import { createSecretSource } from './secrets.ts';
import { createIsStopToken } from './stop-token.ts';
import { createSupervisorStore } from './store.ts';
import { createSupervisor, type LaunchObserver, type Supervisor } from './supervisor.ts';

/** Processes launched at once on this replica. */
const LAUNCHES = 8;
/** Replicas in a cluster that one replica of the service looks after. */
const CLUSTER_CAPACITY = 2000;
/** ms for agents to end when the service does, whose own end is 30 s away. */
const DRAIN_MS = 5000;

declare module 'fastify' {
  interface FastifyInstance {
    /** Undefined: no agent is run here. */
    readonly supervisor:
      | (Pick<Supervisor, 'round' | 'supervised'> & {
          /** Writes down what agents have said since the last time. */
          flushLogs(): Promise<void>;
        })
      | undefined;
  }
}

export interface SupervisorPluginOptions {
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly config: RuntimeConfig;
  readonly observe: LaunchObserver;
  readonly restarts?: RestartPolicy | undefined;
}

/** Agents as processes: what is wanted of them is in their rows, and this replica's part of it is kept running. */
export const supervisorPlugin = fastifyPlugin(
  async (app, options: SupervisorPluginOptions) => {
    const { storage, admission, agents, limits, isolation } = app;
    const closing = new AbortController();
    const kept = isolation === undefined ? undefined : supervision(isolation);
    app.decorate('supervisor', kept);
    app.addHook('preClose', async () => {
      closing.abort();
      await kept?.close();
    });
    await app.register(supervisorRoutes, {
      logs: createAgentLogs({ storage, requireAgent: agents.view }),
      isStopToken: createIsStopToken(admission),
      stop: agents.stop,
      releasePlace: limits.release,
      closing: closing.signal,
    });

    function supervision(isolated: Isolation) {
      const { clock, random, config, observe, restarts = RESTARTS } = options;
      const { audit, log } = app;
      const { runnable } = agents;
      if (runnable === undefined) throw new RangeError('isolation without a way to say what can be run');
      const now = () => performance.now();
      const host = isolated.agents;
      const logs = createLogWriter({ store: createLogStore(storage, config.agents.logBytes), now, clock });
      const prepare = createPreparation(runnable, createSecretSource(config.agents));
      const outcomes = createOutcomes({ audit });
      const common = {
        askPermit: createPermits({ audit, admission }),
        outcomes,
        restarts,
        random,
        now,
        stopGraceMs: config.agents.stopGraceMs,
        mayLaunch: () => supervisor.mayLaunch(),
        sink: logs.sink,
        observe,
        log,
      };
      const launching = createPlaces(LAUNCHES);
      const room = createRoom(localCapacity(config));
      const isAvailable = async () => (await isolated.state()).available;
      const keeper =
        host.kind === 'cluster'
          ? createClusterKeeper({ ...common, host, load: createClaimPreparation(admission, prepare) })
          : createLocalKeeper((claim: Claim) =>
              createLocalAgent({ ...common, host, isAvailable, prepare, launching, room }, claim),
            );
      const supervisor: Supervisor = createSupervisor({
        store: createSupervisorStore(storage),
        keeper,
        noteLosses: createNoteLosses({ record: outcomes.lost, log }),
        isUsable: isAvailable,
        capacity: host.kind === 'cluster' ? CLUSTER_CAPACITY : localCapacity(config),
        now,
        log,
      });
      return {
        round: supervisor.round,
        get supervised() {
          return supervisor.supervised;
        },
        flushLogs: logs.flush,
        close: async () => {
          await supervisor.close(Math.min(config.agents.stopGraceMs, DRAIN_MS));
          await logs.flush().catch((err: unknown) => log.warn({ err }, 'the last output of agents was not kept'));
        },
      };
    }
  },
  {
    name: 'supervisor',
    fastify: '5.x',
    dependencies: ['storage', 'audit', 'admission', 'runtime', 'agents', 'limits'],
  },
);

/** Sandbox runs have places of their own. */
function localCapacity({ bubblewrap, sandbox }: RuntimeConfig): number {
  return Math.max(1, bubblewrap.slots - sandbox.concurrency);
}
