import { until } from '../../support/process.ts';
import { moreFailed, requireAlive } from '../support/conduct.ts';
import type { ProxyFault } from '../support/proxy.ts';
import type { Random } from '../support/random.ts';
import type { FaultScenario } from '../support/run.ts';
import type { Stage } from '../support/stage.ts';

const STRUCK_WITHIN_MS = 20_000;
/** Bytes into a connection: within the log-in, within a transaction, anywhere. */
const MAX_BYTE = 6000;

interface Fault {
  readonly name: string;
  readonly why: string;
  readonly fault: (random: Random) => ProxyFault;
  /** How often it strikes before it is healed. */
  readonly strikes: number;
  /** Calls must come to nothing while it lasts. */
  readonly fails: number;
}

const FAULTS: readonly Fault[] = [
  {
    name: 'proxy-delay',
    why: 'a slow network to the database',
    fault: (random) => ({ kind: 'delay', ms: random.between(20, 250) }),
    strikes: 60,
    fails: 0,
  },
  {
    name: 'proxy-cut-to-database',
    why: 'connections cut at byte N of what the service sends',
    fault: (random) => ({ kind: 'cut', direction: 'to-database', atByte: random.between(1, MAX_BYTE) }),
    strikes: 6,
    fails: 0,
  },
  {
    name: 'proxy-cut-to-service',
    why: 'connections cut at byte N of what the database answers',
    fault: (random) => ({ kind: 'cut', direction: 'to-service', atByte: random.between(1, MAX_BYTE) }),
    strikes: 6,
    fails: 0,
  },
  {
    name: 'proxy-black-hole',
    why: 'the network swallows everything',
    fault: () => ({ kind: 'black-hole' }),
    strikes: 1,
    fails: 2,
  },
  {
    name: 'proxy-refuse',
    why: 'nobody listens where the database was',
    fault: () => ({ kind: 'refuse' }),
    strikes: 1,
    fails: 6,
  },
  {
    name: 'proxy-commit-answer',
    why: 'the database commits, and its answer is lost',
    fault: (random) => ({ kind: 'cut-at-commit', lost: 'answer', nth: random.between(1, 5) }),
    strikes: 5,
    fails: 1,
  },
  {
    name: 'proxy-commit-request',
    why: 'the COMMIT itself is lost',
    fault: (random) => ({ kind: 'cut-at-commit', lost: 'request', nth: random.between(1, 5) }),
    strikes: 5,
    fails: 1,
  },
];

export const PROXY_SCENARIOS: readonly FaultScenario[] = FAULTS.map((one) => ({
  name: one.name,
  why: one.why,
  runs: 10,
  fault: (stage) => behindProxy(stage, one),
}));

async function behindProxy({ world, instance }: Stage, { name, fault, strikes, fails }: Fault): Promise<void> {
  const { proxy, random } = world;
  proxy.apply(fault(random));
  try {
    await until(`${name} struck`, () => proxy.struck >= strikes, STRUCK_WITHIN_MS);
    await requireAlive(instance);
    if (fails > 0) await moreFailed(world, fails);
  } finally {
    proxy.apply({ kind: 'none' });
  }
}
