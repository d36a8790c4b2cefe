import { KILL_SCENARIOS } from './scenarios/kill.ts';
import { SIGNAL_SCENARIOS } from './scenarios/signals.ts';
import { shortForm } from './support/short.ts';

await shortForm([...KILL_SCENARIOS, ...SIGNAL_SCENARIOS]);
