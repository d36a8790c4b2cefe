import { CLOCK_SCENARIOS } from './scenarios/clock.ts';
import { OUTPUT_SCENARIOS } from './scenarios/output.ts';
import { POOL_SCENARIOS } from './scenarios/pool.ts';
import { PROXY_SCENARIOS } from './scenarios/proxy.ts';
import { shortForm } from './support/short.ts';

await shortForm([...PROXY_SCENARIOS, ...POOL_SCENARIOS, ...CLOCK_SCENARIOS, ...OUTPUT_SCENARIOS]);
