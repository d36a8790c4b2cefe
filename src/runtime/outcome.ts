import { constants } from 'node:os';

import type { CommandOutcome } from './isolation.ts';

/** What is known when nothing of a command runs any more. */
export interface CommandFacts {
  /** Why the service ended it; undefined: it did not. */
  readonly endedFor: 'timeout' | 'cancelled' | 'output_limit' | undefined;
  readonly started: boolean;
  readonly exitCode: number | null;
  /** Processes of it that the kernel has killed for memory. */
  readonly oomKills: number;
  readonly isDiskFull: boolean;
}

/** A shell's word for what a signal has ended, from there on. */
const SIGNAL_BASE = 128;

/**
 * The result of a command. What the caller or a bound ended is that, except that memory goes before time: who waits for a
 * process that the kernel has killed waits until the timeout. With memory the exit code proves nothing: a shell may go on.
 */
export function commandOutcome(facts: CommandFacts): CommandOutcome {
  const { endedFor, started, exitCode, oomKills, isDiskFull } = facts;
  if (endedFor === 'cancelled' || endedFor === 'output_limit') return endedFor;
  if (oomKills > 0) return 'oom';
  if (endedFor !== undefined) return endedFor;
  if (!started || exitCode === null) return 'setup_failed';
  if (exitCode === 0) return 'ok';
  if (isDiskFull || signalOf(exitCode) === 'SIGXFSZ') return 'disk_limit';
  return 'failed';
}

/** The signal that an exit code stands for, by the convention of shells; null when it is none. */
export function signalOf(exitCode: number | null): string | null {
  if (exitCode === null || exitCode <= SIGNAL_BASE) return null;
  const number = exitCode - SIGNAL_BASE;
  return Object.entries(constants.signals).find(([, value]) => value === number)?.[0] ?? null;
}
