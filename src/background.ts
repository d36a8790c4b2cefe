import type { FastifyInstance } from 'fastify';

import { coverDeferredEvents } from './audit/plugin.ts';
import type { Clock } from './clock.ts';
import { expireKeys } from './idempotency/expiry.ts';
import { createPeriodicRunner, type PeriodicRunner, type PeriodicTask } from './jobs/periodic.ts';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics/metrics.ts';
import { closeRanges } from './signers/close-ranges.ts';

export type JobName =
  | 'expiry'
  | 'supervision'
  | 'agent-logs'
  | 'kill-switch'
  | 'suspension'
  | 'workspace-ceilings'
  | 'break-glass'
  | 'revalidation'
  | 'signer-revocation'
  | 'proof-renewal'
  | 'promotion-expiry'
  | 'deferred-events'
  | 'idempotency-expiry'
  | 'denied-access'
  | 'access-locks'
  | 'identity-files'
  | 'checkpoints'
  | 'signer-ranges'
  | 'sandbox-runs'
  | 'sandbox-recovery'
  | 'sandbox-retention';

type Job = PeriodicTask & { readonly name: JobName };

interface BackgroundOptions {
  /** ms between rounds of checkpoints; undefined: none are made. */
  readonly checkpointsMs: number | undefined;
  /** ms between two looks at the files of who may call. */
  readonly reloadMs: number;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly withoutJobs: readonly JobName[];
}

/** The periodic work of one replica, not started yet. */
export function backgroundJobs(app: FastifyInstance, options: BackgroundOptions): PeriodicRunner {
  const { metrics, logger, withoutJobs } = options;
  return createPeriodicRunner({
    random: Math.random,
    tasks: tasksOf(app, options).filter(({ name }) => !withoutJobs.includes(name)),
    observe: {
      finished: metrics.jobs.finished,
      failed: (job, err) => {
        metrics.jobs.failed(job);
        logger.warn({ err, job }, 'a round of a job failed');
      },
    },
  });
}

function tasksOf(app: FastifyInstance, { clock, checkpointsMs, reloadMs }: BackgroundOptions): Job[] {
  const { checkpoints, storage, audit, supervisor } = app;
  const always: Job[] = [
    { name: 'expiry', everyMs: 2000, run: (signal) => app.agents.expireDue(signal) },
    { name: 'suspension', everyMs: 2000, run: (signal) => app.workspaces.finish(signal) },
    { name: 'workspace-ceilings', everyMs: 2000, run: () => app.workspaceSettings.ceilings.refresh() },
    // What is granted on one replica counts on the others within a second.
    { name: 'break-glass', everyMs: 700, run: () => app.breakGlass.refresh() },
    { name: 'kill-switch', everyMs: 2000, run: (signal) => app.killSwitches.enforce(signal) },
    { name: 'revalidation', everyMs: 2000, run: (signal) => app.revalidation.resume(signal) },
    { name: 'signer-revocation', everyMs: 30_000, run: (signal) => app.revalidation.distrusted(signal) },
    { name: 'proof-renewal', everyMs: 60_000, run: (signal) => app.revalidation.renewDue(signal) },
    { name: 'promotion-expiry', everyMs: 5000, run: (signal) => app.promotion.lapseDue(signal) },
    { name: 'deferred-events', everyMs: 2000, run: () => coverDeferredEvents(storage, audit) },
    { name: 'idempotency-expiry', everyMs: 60_000, run: (signal) => expireKeys({ storage, audit, clock }, signal) },
    { name: 'access-locks', everyMs: 500, run: () => app.refreshLocks() },
    { name: 'identity-files', everyMs: reloadMs, run: () => app.trust.look() },
    // What may not go on ends within two seconds, wherever that was decided.
    { name: 'sandbox-runs', everyMs: 500, run: () => app.sandboxRuns.watch() },
    { name: 'sandbox-recovery', everyMs: 2000, run: (signal) => app.sandboxRuns.recover(signal) },
    { name: 'sandbox-retention', everyMs: 600_000, run: (signal) => app.sandboxRuns.prune(signal) },
    { name: 'denied-access', everyMs: 10_000, run: () => app.accessRecorder.flush() },
  ];
  if (supervisor !== undefined) {
    always.push(
      // A third of a second, so that what must end at once has ended within two.
      { name: 'supervision', everyMs: 350, run: supervisor.round },
      { name: 'agent-logs', everyMs: 500, run: supervisor.flushLogs },
    );
  }
  if (checkpoints === undefined || checkpointsMs === undefined) return always;
  const { round } = checkpoints;
  return [
    ...always,
    { name: 'checkpoints', everyMs: checkpointsMs, run: round },
    { name: 'signer-ranges', everyMs: 5000, run: (signal) => closeRanges({ storage, audit, round }, signal) },
  ];
}
