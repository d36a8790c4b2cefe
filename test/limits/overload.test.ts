import t from 'tap';

import { devHome, startDev } from '../system/dev.ts';
import { type OverloadResult, runOverload } from './overload/run.ts';

/** So low that a few connections are ten times too many on any machine; `npm run bench` has the real figures. */
const LIMITS = {
  CASTELLAN_LIMITS_PRINCIPAL_RATE: '40',
  CASTELLAN_LIMITS_PRINCIPAL_BURST: '80',
  CASTELLAN_LIMITS_IN_FLIGHT_READS: '8',
  CASTELLAN_LIMITS_IN_FLIGHT_WRITES: '8',
  CASTELLAN_LIMITS_MAX_WAITING: '4',
};

const statusesOf = (counts: OverloadResult['during'][keyof OverloadResult['during']]) => Object.keys(counts.statuses);

t.test(
  'flooded: 429 for the noisy one, nothing worse than 503, health and brakes as ever, well again after',
  async (t) => {
    const { env } = await devHome(t);
    const { ready } = await startDev(t, { ...env, ...LIMITS });
    const result = await runOverload(ready, { seconds: 3, connections: 40, quietSeconds: 2, recoveryLimitSeconds: 30 });
    t.comment(JSON.stringify(result));
    const { flood, during, recoveredAfterSeconds } = result;
    const answers = Object.keys(flood.statuses);
    t.ok((flood.statuses['429 RATE_LIMITED'] ?? 0) > 20, 'the noisy one is told');
    t.same(
      answers.filter((answer) => !/^(?:2\d\d$|429 |503 )/.test(answer)),
      [],
    );
    t.equal(flood.withoutRetryAfter, 0);
    for (const probe of ['livez', 'noisyBrake', 'quietBrake'] as const)
      t.same(statusesOf(during[probe]), ['200'], probe);
    t.ok((during.quietRead.statuses['200'] ?? 0) > 0, 'another tenant is served');
    t.not(recoveredAfterSeconds, undefined);
  },
);
