import type { OutputSink } from '../runtime/isolation.ts';
import type { RestartPolicy } from './backoff.ts';
import type { Claim } from './claim.ts';
import type { Outcomes } from './outcomes.ts';
import type { AskPermit } from './permit.ts';
import type { LaunchObserver, SupervisorLog } from './supervisor.ts';

/** What keeping one agent takes, wherever it runs. */
export interface KeptParts {
  readonly askPermit: AskPermit;
  readonly outcomes: Outcomes;
  readonly restarts: RestartPolicy;
  readonly random: () => number;
  /** Monotonic ms. */
  readonly now: () => number;
  readonly stopGraceMs: number;
  /** False: the lease is about to end, and nothing may be launched. */
  readonly mayLaunch: () => boolean;
  readonly sink: (claim: Claim, launchId: string, replica: string) => OutputSink;
  readonly observe: LaunchObserver;
  readonly log: SupervisorLog;
}
