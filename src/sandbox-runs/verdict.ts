import type { EventType } from '../audit/event-types.ts';
import type { CommandOutcome } from '../runtime/isolation.ts';
import type { RunStatus } from './schema.ts';

/** In rising order: the worst counts (contract §6). */
const RANKS = ['passed', 'failed', 'killed', 'timeout', 'error'] as const;

/** How a run ended. */
export type FinalStatus = (typeof RANKS)[number];

const STATUS_OF: Readonly<Record<CommandOutcome, FinalStatus>> = {
  ok: 'passed',
  failed: 'failed',
  oom: 'killed',
  output_limit: 'killed',
  disk_limit: 'killed',
  cancelled: 'killed',
  timeout: 'timeout',
  setup_failed: 'error',
};

/** The status of a run whose commands ended so; one that ran nothing did not pass. */
export function statusOf(outcomes: readonly CommandOutcome[]): FinalStatus {
  if (outcomes.length === 0) return 'error';
  const ranks = outcomes.map((outcome) => RANKS.indexOf(STATUS_OF[outcome]));
  return RANKS[Math.max(...ranks)] ?? 'error';
}

/** The event that a run's end is. */
export function endEvent(
  status: FinalStatus,
  outcomes: readonly CommandOutcome[],
): EventType & `sandbox.run.${string}` {
  if (status === 'passed') return 'sandbox.run.completed';
  if (status === 'killed' && outcomes.includes('cancelled')) return 'sandbox.run.cancelled';
  return `sandbox.run.${status}`;
}

export function isFinal(status: RunStatus): status is FinalStatus {
  return RANKS.some((rank) => rank === status);
}
