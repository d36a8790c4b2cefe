import { setTimeout as delay } from 'node:timers/promises';
import fastifyPlugin from 'fastify-plugin';

import type { Clock } from '../clock.ts';
import type { RuntimeConfig } from '../config/runtime.ts';
import { NotFound } from '../http/problem.ts';
import { createDrive } from './drive.ts';
import { createExecute, type Execute } from './execute.ts';
import { createHost } from './hosts.ts';
import { createRunJobs, type RunJobs } from './jobs.ts';
import { RunQueue } from './queue.ts';
import { createRunReads } from './reads.ts';
import { sandboxRunRoutes } from './routes.ts';
import { createSandboxRuns, type SandboxRuns } from './service.ts';
import { createFollowRun } from './stream.ts';
import { createRunUnits } from './units.ts';
import type { FinalStatus } from './verdict.ts';

declare module 'fastify' {
  interface FastifyInstance {
    readonly sandboxRuns: RunJobs & {
      readonly removeOf: SandboxRuns['removeOf'];
      /** Runs under way and waiting in this process. */
      stats(): { readonly running: number; readonly waiting: number };
    };
  }
}

const LOOK_MS = 20;
/** Ms in which cancelled runs end and are kept when the service closes; what is left is for those who come after. */
const CLOSE_MS = 20_000;

export interface SandboxRunsPluginOptions {
  readonly clock: Clock;
  readonly config: RuntimeConfig;
  readonly observe: { ended(status: FinalStatus, seconds: number): void };
}

/** Commands tried in sandboxes, queued and bounded. What runs when the service closes is cancelled and kept. */
export const sandboxRunsPlugin = fastifyPlugin(
  async (app, { clock, config, observe }: SandboxRunsPluginOptions) => {
    const { storage, audit, admission, agents, isolation, limits, workspaceSettings, log } = app;
    const closing = new AbortController();
    const givenUp = new AbortController();
    const now = () => performance.now();
    const failed = (err: unknown, runId: string) => log.warn({ err, runId }, 'a step of a sandbox run failed');
    const host = createHost(storage, now);
    const units = createRunUnits({ audit, admission, owner: host.instance });
    const reads = createRunReads(storage);
    const { concurrency, queue: maxWaiting, retentionDays } = config.sandbox;
    const queue = new RunQueue({ capacity: concurrency, maxWaiting });
    const execute: Execute = isolation === undefined ? noIsolation : createExecute({ isolation, now, failed });
    const drive = createDrive({ units, admission, execute, observe, failed, givenUp: givenUp.signal });
    const runs = createSandboxRuns({
      storage,
      admission,
      settings: workspaceSettings.read,
      units,
      get: reads.get,
      isolation,
      config,
      queue,
      host,
      drive,
    });
    const { active } = runs;
    app.decorate('sandboxRuns', {
      ...createRunJobs({ storage, audit, clock, host, units, discard: isolation?.discard, active, retentionDays }),
      removeOf: runs.removeOf,
      stats: () => ({ running: queue.running, waiting: queue.waiting }),
    });
    app.addHook('preClose', async () => {
      queue.close();
      for (const run of active.values()) run.cancel('shutdown');
      const until = now() + CLOSE_MS;
      // Some may only just begin: they have a place.
      while ((active.size > 0 || queue.running > 0) && now() < until) await delay(LOOK_MS, undefined, { ref: false });
      givenUp.abort();
      closing.abort();
    });
    await app.register(sandboxRunRoutes, {
      runs,
      reads,
      follow: createFollowRun({ get: reads.get, active }),
      releasePlace: limits.release,
      findWorkspace: async (request, agentId) => {
        const workspaceId = await agents.workspaceOf(agentId);
        if (workspaceId === undefined) throw new NotFound();
        request.requireWorkspace(workspaceId, agentId);
      },
      closing: closing.signal,
    });
  },
  {
    name: 'sandbox-runs',
    fastify: '5.x',
    dependencies: ['storage', 'audit', 'admission', 'runtime', 'agents', 'limits', 'workspace-settings'],
  },
);

/** There is no run to execute where nothing is run. */
const noIsolation: Execute = () => {
  throw new RangeError('a sandbox run without isolation');
};
