import type { Scenario } from '../support/run.ts';
import { CLOCK_SCENARIOS } from './clock.ts';
import { DATABASE_SCENARIOS } from './database.ts';
import { KILL_SCENARIOS } from './kill.ts';
import { OUTPUT_SCENARIOS } from './output.ts';
import { POOL_SCENARIOS } from './pool.ts';
import { PROXY_SCENARIOS } from './proxy.ts';
import { ROLLING_SCENARIOS } from './rolling.ts';
import { SIGNAL_SCENARIOS } from './signals.ts';

export const SCENARIOS: readonly Scenario[] = [
  ...KILL_SCENARIOS,
  ...PROXY_SCENARIOS,
  ...DATABASE_SCENARIOS,
  ...OUTPUT_SCENARIOS,
  ...CLOCK_SCENARIOS,
  ...POOL_SCENARIOS,
  ...SIGNAL_SCENARIOS,
  ...ROLLING_SCENARIOS,
];
