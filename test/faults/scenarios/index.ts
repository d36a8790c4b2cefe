import type { Scenario } from '../support/run.ts';
import { KILL_SCENARIOS } from './kill.ts';

export const SCENARIOS: readonly Scenario[] = [...KILL_SCENARIOS];
